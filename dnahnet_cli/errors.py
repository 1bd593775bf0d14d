"""Every error a user can cause. Each says what happened, where and what to do, and carries its exit code."""

from __future__ import annotations

from typing import ClassVar


class DnahnetError(Exception):
    """Base of all errors that are reported as one or two lines, without a traceback."""

    exit_code: ClassVar[int] = 1


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


class OutputError(DnahnetError):
    """A result cannot be written."""


class ModelError(DnahnetError):
    """A configuration or weights file is missing, damaged, or of another kind."""


class DeviceError(DnahnetError):
    """The requested device or dtype is not available."""
