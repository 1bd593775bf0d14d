"""Files from strangers: nothing in them is run or becomes markup, and nothing leaves the machine."""

from __future__ import annotations

import ast
import gzip
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dnahnet_cli.cli import reporter
from dnahnet_cli.cli.main import app
from dnahnet_cli.genome import decode
from tests.cli.conftest import LAMBDA
from tests.conftest import random_codes
from tests.report.pages import Read

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dnahnet_cli"
# What can run what it reads, and what can reach another machine.
RUNS_DATA = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "runpy", "code"}
CONNECTS = {"socket", "ssl", "http", "urllib.request", "ftplib", "smtplib", "telnetlib", "requests", "httpx", "aiohttp"}
# Errors are copied by pickle to see whether they can be sent between the processes of one run, and Ray's address is
# called before Ray is, which only --engine ray does.
KNOWN = {("spread/processes.py", "pickle"), ("spread/cluster.py", "socket")}
GENE = "ATGAAACTGGGGTACTTCTGTGCGGATACC"
EVIL_CONTIG = "<script>alert(1)</script>"
EVIL_GENE = "</script><img/src=x/onerror=alert(2)>\"'&lt"


def dnahnet(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "-q"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an input of every kind, and go there."""
    bases = decode(random_codes(5000, 7))
    bases = bases[:1000] + GENE + bases[1000:]
    (tmp_path / "genome.fa").write_text(f">c\n{bases}\n")
    (tmp_path / "genome.fa.gz").write_bytes(gzip.compress(f">c\n{bases}\n".encode()))
    (tmp_path / "gene.fa").write_text(f">geneA\n{GENE}\n")
    (tmp_path / "genes.gff").write_text("c\tx\tCDS\t1001\t1300\t.\t+\t0\tID=g1\n")
    (tmp_path / "calls.vcf").write_text(
        "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nc\t1001\t.\tA\tC\t.\t.\t.\n"
    )
    (tmp_path / "tmp").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = {
    "score-variants": ["score-variants", "genome.fa.gz", "calls.vcf", "--genes", "genes.gff", "-o", "scores.bcf"],
    "essentiality": ["essentiality", "genome.fa.gz", "genes.gff", "-o", "genes.parquet"],
    "boundaries": ["boundaries", "genome.fa.gz", "-o", "chunks.bed.gz", "--bigwig", "p"],
    "fitness": ["fitness", "gene.fa", "--saturate", "--genome", "genome.fa.gz", "-o", "map.tsv"],
    "score": ["score", "genome.fa.gz", "--per-base", "bits.bw", "-o", "score.tsv"],
    "embed": ["embed", "genome.fa.gz", "-o", "vectors.parquet"],
    "generate": ["generate", "-l", "10", "-o", "new.fa"],
}
PAGE = ["report", "genome.fa", "--genes", "genes.gff", "-o", "page.html"]


# --- nothing is run ---


def _violations(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from {part for name in names for part in (name, name.partition(".")[0])} & (RUNS_DATA | CONNECTS)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if called in ("eval", "exec", "compile", "__import__", "torch.load", "torch.hub.load", "os.system", "os.popen"):
            yield called
        if called.startswith(("os.exec", "os.spawn", "subprocess.getoutput", "subprocess.getstatusoutput")):
            yield called
        if options.get("shell", "False") != "False" or options.get("allow_pickle", "False") != "False":
            yield called
        if called in ("np.load", "numpy.load") and options.get("allow_pickle") != "False":
            yield called


def test_nothing_that_is_read_can_be_run() -> None:
    """No pickle but torch's tensors in safetensors, no eval, no shell, and nothing that opens a connection."""
    found = {(str(path.relative_to(PACKAGE)), what) for path in PACKAGE.rglob("*.py") for what in _violations(path)}
    assert found <= KNOWN


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from urllib.request import urlopen",
        "eval(x)",
        "torch.load(p)",
        "np.load(p)",
        "run(c, shell=1)",
    ],
)
def test_the_walk_sees_what_it_looks_for(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.py").write_text(text)
    assert list(_violations(tmp_path / "x.py"))


# --- nothing becomes markup ---


def test_names_from_files_do_not_become_markup(tiny_model: Path, folder: Path) -> None:
    bases = (folder / "genome.fa").read_text().splitlines()[1]
    (folder / "evil.fa").write_text(f">{EVIL_CONTIG}\n{bases}\n")
    name = EVIL_GENE.replace("&", "%26").replace('"', "%22")
    (folder / "evil.gff").write_text(
        f"##gff-version 3\n{EVIL_CONTIG}\tx\tCDS\t1001\t1300\t.\t+\t0\tID=g1;gene={name};product={name}\n"
    )
    (folder / "evil.vcf").write_text((folder / "calls.vcf").read_text().replace("\nc\t", f"\n{EVIL_CONTIG}\t"))
    model = ["--model", tiny_model, "-t", "1"]
    genes = ["evil.fa", "--genes", "evil.gff"]
    result = dnahnet("score-variants", "evil.fa", "evil.vcf", *genes[1:], "-o", "v.tsv", *model)
    assert result.exit_code == 0, result.stderr
    result = dnahnet("report", *genes, "--variants", "v.tsv", "-o", "evil.html")
    assert result.exit_code == 0, result.stderr
    read = Read((folder / "evil.html").read_text())
    assert [tag for tag, _ in read.elements].count("script") == 4 and "img" not in {tag for tag, _ in read.elements}
    assert not [name for _, own in read.elements for name in own if name.startswith("on")]
    shown = json.dumps(read.data(), ensure_ascii=False)
    assert json.dumps(EVIL_CONTIG)[1:-1] in shown and json.dumps(EVIL_GENE)[1:-1] in shown


# --- nothing is seen by others ---


@pytest.mark.parametrize("command", COMMANDS)
def test_temporary_files_are_private_and_go(
    tiny_model: Path, folder: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the umask; looked at when they are about to go."""
    modes: dict[str, int] = {}
    clean_up = tempfile.TemporaryDirectory.cleanup

    def look(self: tempfile.TemporaryDirectory[str]) -> None:
        modes[self.name] = stat.S_IMODE(os.stat(self.name).st_mode)
        clean_up(self)

    monkeypatch.setattr(tempfile.TemporaryDirectory, "cleanup", look)
    before = os.umask(0)
    try:
        tmpdir = [] if command == "generate" else ["--tmpdir", "tmp"]
        result = dnahnet(*COMMANDS[command], *tmpdir, "--model", tiny_model, "-t", "1")
    finally:
        os.umask(before)
    assert result.exit_code == 0, result.stderr
    assert set(modes.values()) <= {0o700} and bool(modes) == (command != "generate")
    assert list((folder / "tmp").iterdir()) == []
    assert all(not own.name.startswith(".") for own in folder.iterdir())


# --- nothing leaves the machine ---

DENY = """
import socket, sys
def refuse(*args, **options):
    sys.stderr.write("NETWORK\\n")
    raise OSError("the network is denied")
for name in ("connect", "connect_ex", "sendto", "bind"):
    setattr(socket.socket, name, refuse)
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse
"""
DRIVER = """
import json, sys
import socket
try:
    socket.create_connection(("192.0.2.1", 80), 1)
except OSError as error:
    assert "denied" in str(error)
from typer.testing import CliRunner
from dnahnet_cli.cli.main import app
for command in json.loads(sys.stdin.read()):
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, (command, result.stderr)
    assert "NETWORK" not in result.stderr, command
"""


def test_no_command_needs_or_tries_the_network(tiny_model: Path, folder: Path) -> None:
    """Where the system lets it be, there is no network at all; and whoever calls for it in Python is heard."""
    (folder / "deny").mkdir()
    (folder / "deny" / "sitecustomize.py").write_text(DENY)
    isolated = ["unshare", "--map-root-user", "--net"]
    try:
        can = subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        can = False
    model = ["--model", str(tiny_model), "-t", "1", "-q"]
    commands = [[*own, *model] for own in COMMANDS.values()]
    commands += [PAGE, ["doctor", *model[:4]], ["models"], ["--version"], ["completion", "bash"]]
    paths = os.pathsep.join([str(folder / "deny"), str(ROOT)])
    result = subprocess.run(
        [*(isolated if can else []), sys.executable, "-c", DRIVER],
        input=json.dumps(commands),
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("NETWORK") == 1  # the driver's own attempt


# --- the ends of a run, and its log ---

LONG = {
    "score-variants": ["score-variants", LAMBDA, LAMBDA.with_suffix(".vcf")],
    "essentiality": ["essentiality", LAMBDA, "all.gff"],
    "boundaries": ["boundaries", LAMBDA],
    "fitness": ["fitness", "long.fa", "--saturate"],
    "score": ["score", "many.fa"],
    "embed": ["embed", "many.fa"],
    "generate": ["generate", "-n", "5000", "-l", "20"],
}


@pytest.fixture
def long(folder: Path, tiny_model: Path) -> dict[str, list[str]]:
    """Return command lines that take longer than a test waits."""
    contig = LAMBDA.read_text().split()[0][1:]
    (folder / "all.gff").write_text(
        "".join(f"{contig}\tx\tCDS\t{at}\t{at + 299}\t.\t+\t0\tID=g{at}\n" for at in range(1, 48000, 30))
    )
    (folder / "long.fa").write_text(f">g\nATG{'GCA' * 500}\n")
    bases = "".join(LAMBDA.read_text().splitlines()[1:])
    (folder / "many.fa").write_text("".join(f">c{n}\n{bases}\n" for n in range(40)))
    command = [sys.executable, "-m", "dnahnet_cli"]
    return {
        name: [*command, *map(str, own), "--model", str(tiny_model), "-t", "1", "--tmpdir", "tmp"]
        if name != "generate"
        else [*command, *map(str, own), "--model", str(tiny_model), "-t", "1"]
        for name, own in LONG.items()
    }


def start(command: list[str], **options: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        # A shell's background jobs ignore SIGINT, and their children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize(
    ("command", "number"), list(zip(LONG, [signal.SIGTERM, signal.SIGINT] * 4, strict=False)), ids=lambda own: str(own)
)
def test_a_signal_ends_a_run_with_a_line_and_nothing_left(
    long: dict[str, list[str]], folder: Path, command: str, number: signal.Signals
) -> None:
    before = {own.name for own in folder.iterdir()}
    suffix = {"boundaries": "bed", "generate": "fa", "embed": "parquet"}.get(command, "tsv")
    with start([*long[command], "-v", "-o", f"out.{suffix}"]) as process:
        assert process.stderr is not None
        said = list(takewhile(lambda line: not line.startswith("model "), process.stderr))  # until it is loaded
        process.send_signal(number)
        said += process.stderr.readlines()
    assert process.returncode == 128 + number, said
    assert len(said) <= 4 and not any("Traceback" in line or "Error" in line for line in said), said
    assert {own.name for own in folder.iterdir()} - before <= {f"out.{suffix}.partial"}
    assert list((folder / "tmp").iterdir()) == []


@pytest.mark.parametrize("command", ["boundaries", "score", "generate"])
def test_a_closed_pipe_ends_a_run_without_a_word(long: dict[str, list[str]], folder: Path, command: str) -> None:
    with start(long[command]) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert list((folder / "tmp").iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_log_in_a_file_is_plain_lines(
    tiny_model: Path, folder: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "PLAIN_EVERY_S", 0.0)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("CI", raising=False)
    result = CliRunner().invoke(app, [*COMMANDS[command], "-v", "--model", str(tiny_model), "-t", "1"])
    assert result.exit_code == 0
    assert "a second" in result.stderr and result.stderr.endswith("\n")
    assert all(letter.isprintable() or letter == "\n" for letter in result.stderr)
