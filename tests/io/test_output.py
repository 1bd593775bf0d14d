from __future__ import annotations

import gzip
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dnahnet_cli.errors import OutputError, UsageError
from dnahnet_cli.io.output import open_output


def test_file_appears_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.tsv"
    with open_output(str(path)) as file:
        file.write("a\né\n")
        assert not path.exists()
    assert path.read_bytes() == "a\né\n".encode()
    assert list(tmp_path.iterdir()) == [path]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, BrokenPipeError])
@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz"])
def test_failure_keeps_the_old_file_and_leaves_no_other(
    tmp_path: Path, error: type[BaseException], suffix: str
) -> None:
    path = tmp_path / f"out{suffix}"
    path.write_text("old")
    with pytest.raises(error), open_output(path) as file:
        file.write("new")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_gz_is_bgzip(tmp_path: Path) -> None:
    path = tmp_path / "out.bed.gz"
    with open_output(path) as file:
        file.write("chr1\t0\t1\n" * 100_000)
    data = path.read_bytes()
    assert data[12:14] == b"BC" and data.endswith(bytes.fromhex("1b0003000000000000000000"))
    assert gzip.decompress(data) == b"chr1\t0\t1\n" * 100_000


def test_binary(tmp_path: Path) -> None:
    with open_output(tmp_path / "out.bin", binary=True) as file:
        file.write(b"\x00\xff")
    assert (tmp_path / "out.bin").read_bytes() == b"\x00\xff"


@pytest.mark.parametrize("path", [None, "-"])
def test_stdout_stays_open(path: str | None, capfdbinary) -> None:
    with open_output(path) as file:
        file.write("text\n")
    with open_output(path, binary=True) as file:
        file.write(b"bytes\n")
    print("after", flush=True)
    assert capfdbinary.readouterr().out == b"text\nbytes\nafter\n"


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "in.vcf"
    source.write_text("data")
    link = tmp_path / "link.vcf"
    link.symlink_to(source)
    hard = tmp_path / "hard.vcf"
    hard.hardlink_to(source)
    for path in (source, link, hard, tmp_path / "." / "in.vcf"):
        with pytest.raises(UsageError, match="also an input"):
            open_output(path, forbidden=[tmp_path / "missing", source])
    assert source.read_text() == "data"


def test_unusable_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="mkdir -p"):
        open_output(tmp_path / "none" / "out.tsv")
    with pytest.raises(OutputError, match="is a directory"):
        open_output(tmp_path)
    # The superuser may write anywhere, so the system's answer is put in its mouth.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="not writable"):
        open_output(tmp_path / "out.tsv")


def test_symbolic_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "target.tsv"
    target.write_text("old")
    link = tmp_path / "link.tsv"
    link.symlink_to(target)
    with open_output(link) as file:
        file.write("new")
    assert link.is_symlink() and target.read_text() == "new"


def test_devices_are_written_to_in_place() -> None:
    with open_output("/dev/null") as file:
        file.write("x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk_is_an_output_error() -> None:
    with pytest.raises(OutputError, match="No space left"), open_output("/dev/full") as file:
        file.write("x")
    with pytest.raises(OutputError, match="No space left"), open_output("/dev/full") as file:
        file.write("x" * 10_000_000)


def test_a_terminated_run_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom dnahnet_cli.io.output import open_output\n"
        "with open_output(sys.argv[1]) as file:\n    file.write('x')\n    file.flush()\n    os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "out.tsv"
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    assert not path.exists()
    assert all(entry.name.startswith(".") and entry.suffix == ".tmp" for entry in tmp_path.iterdir())


def test_an_interruption_before_the_block_has_begun_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "from dnahnet_cli.io.output import open_output\n"
        "output = open_output('out.tsv')\n"
        "output.__enter__()\n"
        "import glob; assert glob.glob('.out.tsv.*')\n"
        "raise KeyboardInterrupt\n"
    )
    process = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "KeyboardInterrupt" in process.stderr
    assert list(tmp_path.iterdir()) == []


def test_bgzip_to_standard_output_and_a_reader_that_goes_away() -> None:
    code = (
        "import sys\nfrom dnahnet_cli.io.output import open_output\n"
        "try:\n    with open_output(None, bgzip=True) as file:\n"
        "        file.writelines(f'{n * n}\\n' for n in range(200_000))\n"
        "except BrokenPipeError:\n    import os\n    os._exit(7)\n"
    )
    whole = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert gzip.decompress(whole) == "".join(f"{n * n}\n" for n in range(200_000)).encode()
    assert whole[12:14] == b"BC" and whole.endswith(bytes.fromhex("1b0003000000000000000000"))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 7


def test_no_clobber(tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text("mine")
    with pytest.raises(UsageError, match="no-clobber"):
        open_output(tmp_path / "mine.tsv", clobber=False)
    with open_output(tmp_path / "new.tsv", clobber=False) as file:
        file.write("x")
    with open_output("/dev/null", clobber=False) as file:
        file.write("x")
