"""The shape of a network: layout grammar, widths, and named presets."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Final, Protocol, Self, TypeAlias

from dnahnet_cli.errors import ModelError

VOCABULARY: Final = "ACGTN^"  # ^ is BOS, which begins every scanned tile
NUM_BASES: Final = 4
BOS: Final = 5
CHANNELS_PER_FILTER: Final = 8  # of a hyena layer's explicit filter: about as in StripedHyena 2
NUM_POLES: Final = 16  # of its filter of unbounded reach, for each channel
_MOST_LAYERS: Final = 1000

Layout: TypeAlias = "list[str | Layout]"


@dataclass(frozen=True)
class Config:
    """What the configurations of all architectures share: a name, a clock, and a line of JSON that carries it all.

    `period` is that of the clock that is added to the tokens, in bases; 1 is none.
    """

    period: int = field(default=1, kw_only=True)

    arch: ClassVar[str]
    description: ClassVar[str]

    @property
    def num_stages(self) -> int:
        """Return how many times the sequence is chunked."""
        return 0

    @property
    def targets(self) -> tuple[float, ...]:
        """Return what training aims at in each stage: bases, or chunks, per chunk."""
        return ()

    def to_json(self) -> str:
        """Return the configuration as one line of JSON, as kept in a weights file's header."""
        return json.dumps({"arch": self.arch, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse what `to_json` wrote. Raises ModelError for another architecture, or a missing, unknown or wrong field.

        Without `arch` it is a dnaHNet of the time before there were others.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            arch = values.pop("arch", ModelConfig.arch)
            if arch != cls.arch:
                raise ModelError(f"a network of architecture {arch!r}, where {cls.arch!r} is expected")
            for each in fields(cls):
                if str(each.type).startswith("tuple"):
                    values[each.name] = _tuples(values[each.name])
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ModelError(f"unreadable model configuration: {error}") from error


class AttentionSizes(Protocol):
    """What attention asks of its network's configuration. Of each head the first `rotary_share` is rotary."""

    @property
    def attention_head_size(self) -> int: ...
    @property
    def rotary_share(self) -> float: ...


class LayerSizes(AttentionSizes, Protocol):
    """What the layers that letters stand for ask of their network's configuration."""

    @property
    def state_size(self) -> int: ...
    @property
    def mamba_head_size(self) -> int: ...
    @property
    def ssd_chunk(self) -> int: ...
    @property
    def conv_width(self) -> int: ...
    @property
    def expand(self) -> int: ...
    @property
    def mlp_multiple(self) -> int: ...


@dataclass(frozen=True)
class ModelConfig(Config):
    """Everything that decides the network's parameters and arithmetic.

    `layout` nests `[encoder, inner, decoder]` lists around a one-element core list. A string is runs of
    letter and count: `m` Mamba-2, `t` attention, `s`, `r` and `l` hyena of short, medium and unbounded reach; upper
    case adds a SwiGLU.
    `widths` has one entry per stage and one for the core, `ratios` (target bases, or chunks, per chunk)
    one per stage, `windows` (attention window in positions of the stage, None is unlimited) as widths.
    """

    arch = "dnahnet"
    description = "dnaHNet, a hierarchical nucleotide language model with learned chunking (arXiv 2602.10603)"
    rotary_share: ClassVar[float] = 0.5  # of each attention head's channels, which turn with position

    layout: Layout
    widths: tuple[int, ...]
    ratios: tuple[float, ...]
    windows: tuple[int | None, ...]
    state_size: int = 64
    mamba_head_size: int = 64
    ssd_chunk: int = 64
    conv_width: int = 4
    expand: int = 2
    attention_head_size: int = 64
    mlp_multiple: int = 64

    def __post_init__(self) -> None:
        stages = self.num_stages
        if not 1 <= stages <= 3:
            raise ModelError(f"layout {self.layout!r} has {stages} stages; 1 to 3 are possible")
        for name, found, wanted in (
            ("widths", self.widths, stages + 1),
            ("ratios", self.ratios, stages),
            ("windows", self.windows, stages + 1),
        ):
            if len(found) != wanted:
                raise ModelError(f"{name} has {len(found)} entries, a layout of {stages} stages needs {wanted}")
        for name in (each.name for each in fields(ModelConfig)):
            value = getattr(self, name)
            sizes = value if isinstance(value, tuple) else (value,)
            if name == "windows":
                sizes = tuple(size for size in sizes if size is not None)
            if name not in ("layout", "ratios") and not all(isinstance(size, int) and size > 0 for size in sizes):
                raise ModelError(f"{name} must be positive and whole, not {value!r}")
        if not all(isinstance(ratio, int | float) and ratio > 1 for ratio in self.ratios):
            raise ModelError(f"ratios must be numbers above 1, not {self.ratios!r}")
        if list(self.widths) != sorted(self.widths):
            raise ModelError(f"widths {self.widths} must not shrink inward")
        for depth, text in _strings(self.layout):
            letters, width = parse_layers(text), self.widths[depth]
            if set(letters.lower()) & set("rs") and width % CHANNELS_PER_FILTER:
                raise ModelError(f"hyena layers need a multiple of {CHANNELS_PER_FILTER} channels, not {width}")

    @property
    def num_stages(self) -> int:
        """Return how many times the sequence is chunked."""
        depth, layout = 0, self.layout
        while len(layout) == 3 and isinstance(layout[1], list) and all(isinstance(layout[end], str) for end in (0, 2)):
            depth, layout = depth + 1, layout[1]
        if len(layout) != 1 or not isinstance(layout[0], str):
            raise ModelError(f"layout {self.layout!r} must nest [encoder, inner, decoder] around [core]")
        return depth

    @property
    def targets(self) -> tuple[float, ...]:
        """Return what training aims at in each stage: bases, or chunks, per chunk."""
        return self.ratios

    @property
    def attending_stages(self) -> frozenset[int]:
        """Return the depths, 0 for the outermost stage, at which there are layers of attention."""
        return frozenset(depth for depth, text in _strings(self.layout) if "t" in parse_layers(text).lower())


def _tuples(value: Any) -> Any:
    """Turn the lists of JSON into tuples, at every depth. Raises TypeError for anything that is no list."""
    return tuple(_tuples(item) if isinstance(item, list) else item for item in value)


def parse_layers(text: str) -> str:
    """Expand runs of letter and count, `T1m4` to `Tmmmm`."""
    if not re.fullmatch(r"([lLmMrRsStT][0-9]{1,3})+", text):
        raise ModelError(
            f"layers {text!r}: expected runs of l, m, r, s or t, in either case, with a count, such as 'T1m4'"
        )
    runs = [(letter, int(count)) for letter, count in re.findall(r"([a-zA-Z])([0-9]+)", text)]
    if sum(count for _, count in runs) > _MOST_LAYERS:
        raise ModelError(f"layers {text[:40]!r}: more than {_MOST_LAYERS} in a row")
    return "".join(letter * count for letter, count in runs)


def _strings(layout: Layout, depth: int = 0) -> list[tuple[int, str]]:
    """Return all strings of layers, with the stage that each is in."""
    parts = [[(depth, part)] if isinstance(part, str) else _strings(part, depth + 1) for part in layout]
    return [pair for pairs in parts for pair in pairs]


# For training on a CPU: the paper's arrangement, so thin that an hour reads a hundred million bases.
_SMALL: Final = ModelConfig(
    layout=["m2", ["T1m1", ["T3"], "m1T1"], "m2"],
    widths=(64, 128, 192),
    ratios=(3.0, 2.0),
    windows=(None, 128, None),
    period=3,
    state_size=32,
    mamba_head_size=128,
)

PRESETS: Final[dict[str, ModelConfig]] = {
    # For tests: every layer kind, two stages, trains in seconds.
    "tiny": ModelConfig(
        layout=["m1", ["T1m1", ["T1"], "m1T1"], "m1"],
        widths=(32, 48, 64),
        ratios=(3.0, 2.0),
        windows=(None, 64, None),
        period=3,
        state_size=16,
        mamba_head_size=16,
        ssd_chunk=16,
        attention_head_size=16,
    ),
    "small": _SMALL,
    # The same with hyena layers for Mamba-2 in the outer stage: fewer bits for as many bases, in more time.
    "small-hyena": replace(_SMALL, layout=["S1R1L1", ["T1m1", ["T3"], "m1T1"], "S1R1L1"]),
    # Four layers more on the bases, the last of them attention: what a StripedHyena 2 of this width has.
    "small-deep": replace(
        _SMALL, layout=["S1R1L1S1R1L1T1", ["T1m1", ["T3"], "m1T1"], "S1R1L1"], windows=(512, 128, None)
    ),
    # For half an hour of a data-centre GPU.
    "base": ModelConfig(
        layout=["m3", ["T1m3", ["T5"], "m3T1"], "m3"],
        widths=(192, 256, 384),
        ratios=(3.0, 2.0),
        windows=(None, 128, None),
        period=3,
        mamba_head_size=128,
    ),
}
