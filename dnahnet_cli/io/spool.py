"""What comes through a pipe, as a file for those who read it more than once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dnahnet_cli.errors import InputError
from dnahnet_cli.io.streams import Source


@contextmanager
def file_of(path: str, tmpdir: Path | None = None) -> Iterator[str]:
    """Give a file that can be read again: the one that is meant, or a copy in `tmpdir` of what a pipe or `-` holds.

    An InputError within the block that names the copy is raised again with the name that the user knows. Raises
    InputError as `Source`.
    """
    if path != "-" and (Path(path).is_file() or not Path(path).exists()):
        yield path
        return
    with Source(path) as source, tempfile.TemporaryDirectory(prefix="dnahnet-pipe-", dir=tmpdir) as folder:
        copy = Path(folder) / ("standard input" if path == "-" else "pipe")
        source.copy_to(copy)
        try:
            yield str(copy)
        except InputError as error:
            raise InputError(str(error).replace(str(copy), source.name)) from error
