"""What an evaluation found, in the one format that all of them share: JSON with the model, the settings and the rows.

Rows are flat, with the columns of the evaluation's table; what is not defined is null. Everything that is needed to
make the figures again stands in it: the program's version, the sha256 of the weights, and all settings with the seed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from dnahnet_cli import __version__
from dnahnet_cli.errors import InputError
from dnahnet_cli.io.output import open_output

FORMAT: Final = "dnahnet evaluation 1"


@dataclass(frozen=True)
class EvaluationResult:
    """The result of one evaluation.

    `name` is the evaluation's, such as fitness; `version` that of the program; `model` has `name` and `sha256`, maybe
    more; `settings` are all that the figures depend on; `notes` say in sentences what a reader of the rows must know.
    """

    name: str
    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = ()
    version: str = __version__

    def to_json(self) -> str:
        """Return the text form. Numbers that are not finite become null."""
        return json.dumps(_finite({"format": FORMAT, **asdict(self)}), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str = "the result") -> EvaluationResult:
        """Read the text form. Raises InputError, which calls the text `name`."""
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name} is not JSON: {error}.") from error
        if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
            raise InputError(f"{name} is not the result of an evaluation: its format is not {FORMAT!r}.")
        kinds = {"name": str, "model": dict, "settings": dict, "rows": list, "notes": list, "version": str}
        if fields.keys() != kinds.keys() or not all(isinstance(fields[key], kind) for key, kind in kinds.items()):
            raise InputError(f"{name} does not have the fields of the format {FORMAT!r}: {', '.join(kinds)}.")
        return cls(**fields)

    def save(self, path: str | Path, forbidden: Sequence[Path] = ()) -> None:
        """Write the text form to a file, or to stdout for `-`. Raises OutputError."""
        with open_output(path, forbidden=forbidden) as file:
            file.write(self.to_json())

    @classmethod
    def load(cls, path: Path) -> EvaluationResult:
        """Read a file. Raises InputError."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise InputError(f"{path} cannot be read: {reason}.") from error
        return cls.from_json(text, str(path))


def files_sha256(paths: Iterable[Path]) -> str:
    """Return the digest of an input of several files: of their names and contents, in their order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _finite(value: Any) -> Any:
    """Return the same value with null for each number that JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
