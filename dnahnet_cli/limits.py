"""What the arguments of the commands and of their Python twins may be. Importing this imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Final

from dnahnet_cli.errors import UsageError

BASES: Final = re.compile(r"[ACGTUNRYSWKMBDHV]*", re.ASCII | re.IGNORECASE)  # of a sequence that is given as text


@dataclass(frozen=True)
class Limits:
    """The least and the largest that a number may be; None is without an end."""

    least: int
    most: int | None = None
    whole: bool = True

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} of at least {self.least}" if self.most is None else f"{kind} from {self.least} to {self.most}"

    def allow(self, value: object) -> bool:
        """Tell whether a value is such a number."""
        if not isinstance(value, Integral if self.whole else Real):
            return False
        number = int(value) if isinstance(value, Integral) else float(value)
        return self.least <= number and (self.most is None or number <= self.most)


SUFFIX: Final = Limits(0, 1500)
CONTEXT: Final = Limits(0, 4096)
MAX_INDEL: Final = Limits(1, 1000)
UPSTREAM: Final = Limits(0, 10_000)
NULL: Final = Limits(0, 1_000_000)
MARKOV: Final = Limits(0, 11)
SEED: Final = Limits(0)
LENGTH: Final = Limits(1)
NUMBER: Final = Limits(1)
TEMPERATURE: Final = Limits(0, whole=False)
TOP_P: Final = Limits(0, 1, whole=False)
THREADS: Final = Limits(1)
_OF: Final = {
    "suffix": SUFFIX,
    "context": CONTEXT,
    "max_indel": MAX_INDEL,
    "upstream": UPSTREAM,
    "null": NULL,
    "markov": MARKOV,
    "seed": SEED,
    "length": LENGTH,
    "number": NUMBER,
    "temperature": TEMPERATURE,
    "top_p": TOP_P,
    "threads": THREADS,
}


def check_numbers(**given: object) -> None:
    """Raise UsageError for an argument, by its name, that is outside its limits or no number."""
    for name, value in given.items():
        if not _OF[name].allow(value):
            raise UsageError(f"{name} {value!r}: expected {_OF[name]}")


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise UsageError for a value that is none of the choices."""
    *others, last = choices
    if value not in (*others, last):
        raise UsageError(f"{name} {value!r}: expected {', '.join(others)} or {last}")
