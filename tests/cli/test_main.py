"""The command as a whole: start-up, help, version, usage errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dnahnet_cli import __version__
from dnahnet_cli.cli import options
from dnahnet_cli.networks.weights import DEFAULT_MODEL
from dnahnet_cli.scoring.reading import TileGrid
from tests.cli.conftest import Run

COMMANDS = [
    "score-variants",
    "merge",
    "essentiality",
    "boundaries",
    "fitness",
    "score",
    "embed",
    "generate",
    "report",
    "train",
    "pack",
    "doctor",
    "models",
    "completion",
]


def test_version_is_one_clean_line(run: Run) -> None:
    result = run("--version", model=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"dnahnet {__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help_with_examples(run: Run, command: str, flag: str) -> None:
    result = run(command, flag, model=False)
    assert result.returncode == 0
    assert "Examples:" in result.stdout and f"dnahnet {command}" in result.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from dnahnet_cli.cli.main import app\n"
        "try:\n    app(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'torch', 'pandas', 'pyarrow', 'numpy', 'pysam', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no-such-command"], "no-such-command"),
        (["score-variants", "a.fa", "b.vcf", "--strand", "sideways"], "sideways"),
        (["score-variants", "a.fa", "b.vcf", "--suffix", "-3"], "--suffix"),
        (["score-variants", "a.fa"], "VARIANTS"),
        (["boundaries", "a.fa", "--nonsense"], "--nonsense"),
    ],
)
def test_usage_errors_exit_with_2(run: Run, arguments: list[str], says: str) -> None:
    result = run(*arguments, model=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert says in result.stderr and "Traceback" not in result.stderr


def test_defaults_are_those_of_the_library() -> None:
    """The options repeat two defaults so that --help need not import what holds them."""
    assert options.DEFAULT_MODEL == DEFAULT_MODEL
    assert TileGrid().context == options.DEFAULT_CONTEXT
