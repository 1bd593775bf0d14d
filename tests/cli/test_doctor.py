"""doctor, models, completion: what there is, whether it works, and how a shell learns of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dnahnet_cli.cli.main import app
from dnahnet_cli.networks.weights import DEFAULT_MODEL, bundled_models, find_model, load_model
from dnahnet_cli.scoring.selftest import GOLDEN, TOLERANCE, self_test
from tests.cli.conftest import Call, data_rows


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def lines_of(result: Result) -> list[tuple[str, str, str]]:
    return [(line[:4].strip(), line[6:18].strip(), line[20:]) for line in result.stdout.splitlines()]


def test_an_installation_that_works(tmp_path: Path) -> None:
    result = invoke("doctor", "--model", "dnahnet-tiny", "-t", "1", "--json-summary", tmp_path / "d.json")
    assert result.exit_code == 0, result.stdout + result.stderr
    found = lines_of(result)
    assert {status for status, _, _ in found} <= {"ok", "note"}
    about = {what for _, what, _ in found}
    assert {"program", "packages", "device", "kernels", "weights", "temporary", "dtype", "self-test"} <= about
    weights = [text for _, what, text in found if what == "weights"]
    assert len(weights) == len(bundled_models()) and all("as its card says" in text for text in weights)
    assert json.loads((tmp_path / "d.json").read_text())["findings"][0]["what"] == "program"


def test_weights_of_ones_own_have_no_kept_scores(call: Call) -> None:
    result = call("doctor")
    assert result.exit_code == 0, result.stdout
    texts = [text for _, what, text in lines_of(result) if what == "self-test"]
    assert "not bundled" in texts[0] and "reverse complement" in texts[1]


def test_what_is_broken_is_said_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"nothing")
    weights.with_suffix(".json").write_text('{"sha256": "0"}')
    folder = tmp_path / "gone"
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(folder))
    result = invoke("doctor", "--model", weights, "-t", "1")
    assert result.exit_code == 1 and "3 of" in result.stderr and "checks failed" in result.stderr
    failed = {what: text for status, what, text in lines_of(result) if status == "fail"}
    assert failed.keys() == {"weights", "temporary", "self-test"} and "sha256 differs" in failed["weights"]
    assert str(folder) in failed["temporary"]
    monkeypatch.setenv("DNAHNET_KERNELS", "magic")
    from dnahnet_cli.ops.backend import kernels

    kernels.cache_clear()
    result = invoke("doctor", "--skip-test")
    kernels.cache_clear()
    assert result.exit_code == 1 and ("fail", "device") in {finding[:2] for finding in lines_of(result)}


@pytest.mark.parametrize("name", bundled_models())
def test_the_kept_scores_are_those_of_the_bundled_weights(name: str) -> None:
    """After weights were replaced: python benchmarks/make_golden.py."""
    file = find_model(name)
    assert file.sha256 in json.loads(GOLDEN.read_text())
    test = self_test(load_model(file), file.sha256)
    assert test.from_golden is not None and test.from_golden < TOLERANCE["float32"]
    assert test.from_mirror < 1e-4 and max(map(abs, test.scores)) > 0.1


def test_wrong_scores_are_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = find_model("dnahnet-tiny")
    kept = json.loads(GOLDEN.read_text())[file.sha256]
    (tmp_path / "golden.json").write_text(json.dumps({file.sha256: [kept[0] + 0.5, *kept[1:]]}))
    monkeypatch.setattr("dnahnet_cli.scoring.selftest.GOLDEN", tmp_path / "golden.json")
    result = invoke("doctor", "--model", "dnahnet-tiny", "-t", "1")
    assert result.exit_code == 1
    assert any(status == "fail" and "differ by 5.0e-01" in text for status, _, text in lines_of(result))


def test_models_are_listed_and_described() -> None:
    rows = data_rows(invoke("models").stdout)
    assert [row["name"] for row in rows] == bundled_models()
    assert [row["name"] for row in rows if row["default"] == "true"] == [DEFAULT_MODEL]
    for row in rows:
        file = find_model(row["name"])
        assert (row["sha256"], int(row["parameters"])) == (file.sha256, file.card["parameters"])
        assert float(row["bits_per_base"]) < float(row["markov9"]) < 2
        text = invoke("models", row["name"]).stdout
        assert "Apache-2.0" in text and file.sha256 in text and row["bits_per_base"] in text
        assert json.loads(invoke("models", row["name"], "--card").stdout) == file.card
    result = invoke("models", "nonsense")
    assert result.exit_code == 1 and "bundled: dnahnet-small" in result.stderr


def test_a_poor_card_is_described_as_far_as_it_goes(tiny_model: Path) -> None:
    result = invoke("models", tiny_model)
    assert result.exit_code == 0 and "note         random" in result.stdout


COMPLETIONS = {
    "": {"score-variants", "evaluate", "--version"},
    "sco": {"score-variants", "score"},
    "score --st": {"--strand", "--strict"},
    "score --strand ": {"both", "forward", "reverse"},
    "evaluate ": {"fitness", "report"},
    "evaluate fitness --cod": {"--codon"},
    "fitness --satur": {"--saturate"},
    "essentiality --protocol mu": {"multi"},
}


@pytest.mark.parametrize("line", COMPLETIONS)
def test_bash_completes(tmp_path: Path, line: str) -> None:
    (tmp_path / "c.bash").write_text(invoke("completion", "bash").stdout)
    words = " ".join(f"'{word}'" for word in ["dnahnet", *line.split(" ")])
    script = f"source c.bash; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _dnahnet"
    script += '; echo "${COMPREPLY[@]}"'
    shown = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    found, last = set(shown.stdout.split()), line.rpartition(" ")[2]
    assert found >= COMPLETIONS[line] and all(word.startswith(last) for word in found) and not shown.stderr


def test_files_are_left_to_the_shell(tmp_path: Path) -> None:
    (tmp_path / "c.bash").write_text(invoke("completion", "bash").stdout)
    script = 'source c.bash; COMP_WORDS=(dnahnet score gen); COMP_CWORD=2; _dnahnet; echo "${#COMPREPLY[@]}"'
    shown = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "0"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_script(tmp_path: Path, shell: str) -> None:
    text = invoke("completion", shell).stdout
    assert "score-variants" in text and "dnahnet" in text.splitlines()[1]
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(text)
    subprocess.run([shell, "-n", "script"], cwd=tmp_path, check=True)
