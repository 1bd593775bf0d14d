"""Every error a user can cause. Each says what happened, where and what to do, and carries its exit code."""

from __future__ import annotations

import re
from typing import ClassVar, Final

_LONG_WORD: Final = re.compile(r"(\S{160})\S{80,}(\S{80})")
_LONG_LINE: Final = re.compile(r"(.{600}).{200,}(.{200})")


def presentable(text: str) -> str:
    """Return text that may hold pieces of a stranger's file, fit for a terminal.

    What is no printable character becomes an escape, so that no file can move the cursor; a word of more than 320
    letters, or a line of more than 1,000, loses its middle.
    """
    shown = text
    if not text.replace("\n", "").isprintable():
        shown = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
    return _LONG_LINE.sub(r"\1 ... \2", _LONG_WORD.sub(r"\1...\2", shown))


class DnahnetError(Exception):
    """Base of all errors that are reported as one or two lines, without a traceback."""

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        return presentable(super().__str__())


class UsageError(DnahnetError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class StrictError(DnahnetError):
    """`--strict` was given and some row could not be scored."""

    exit_code = 3


class Interrupted(DnahnetError):
    """A signal ended a run that can be gone on with; the exit code is that of the signal."""

    exit_code = 130

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]


class InputError(DnahnetError):
    """A file is missing, unreadable, malformed, or does not fit another one."""


class WrongAssemblyError(InputError):
    """The variants were called on another genome: nothing that was computed of them is worth keeping."""


class OutputError(DnahnetError):
    """A result cannot be written."""


class ModelError(DnahnetError):
    """A configuration or weights file is missing, damaged, or of another kind."""


class DeviceError(DnahnetError):
    """The requested device or dtype is not available."""


class WorkerError(DnahnetError):
    """The workers that a run is spread over were lost, or cannot be reached."""
