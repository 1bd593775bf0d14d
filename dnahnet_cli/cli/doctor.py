"""`dnahnet doctor`."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer

from dnahnet_cli import __version__
from dnahnet_cli.cli import options as o
from dnahnet_cli.cli.reporter import Reporter, write_summary
from dnahnet_cli.cli.request import Request
from dnahnet_cli.cli.session import load_network
from dnahnet_cli.errors import DnahnetError
from dnahnet_cli.networks.devices import resolve_device

NEEDED = ("torch", "numpy", "pandas", "pyarrow", "pyfaidx", "pysam", "safetensors", "typer", "rich")
# What is installed only when asked for: the package, the extra that brings it, and what it is for.
EXTRAS = (
    ("pyrodigal", "genes", "calling genes where there is no annotation"),
    ("py2bit", "train", "training on 2bit genomes"),
    ("matplotlib", "plot", "pictures"),
    ("pybigtools", "tracks", "bigWig tracks"),
    ("triton", "gpu", "faster kernels on CUDA"),
)
LEAST_FREE_GB = 1.0


class Finding(NamedTuple):
    """One thing looked at. A note is for knowing; only `fail` says that something is broken."""

    status: Literal["ok", "note", "fail"]
    what: str
    found: str


def doctor(
    skip_test: Annotated[
        bool, typer.Option("--skip-test", help="Leave the self-test out.", rich_help_panel=o.SCORING)
    ] = False,
    json_summary: o.JsonSummary = None,
    model: o.Model = o.DEFAULT_MODEL,
    device: o.Device = "auto",
    dtype: o.DType = "auto",
    threads: o.Threads = None,
    tmpdir: o.TmpDir = None,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Check the installation: versions, devices, kernels and why, weights, folders, and a self-test of seconds.

    One line for each thing looked at. Ends with exit code 1 when something is broken.

    Examples:

      dnahnet doctor

      dnahnet doctor --device cpu --model dnahnet-tiny --json-summary doctor.json
    """
    reporter = Reporter(quiet=quiet, verbose=verbose, progress=False)
    request = Request("", model, device, dtype, threads, "auto", o.DEFAULT_CONTEXT, None, "both", "none", tmpdir)
    findings = []
    for finding in _all(request, reporter, skip_test=skip_test):
        findings.append(finding)
        print(f"{finding.status:4}  {finding.what:12}  {finding.found}", flush=True)
    summary = {"command": "doctor", "findings": [finding._asdict() for finding in findings]}
    write_summary(json_summary, {**summary, "seconds": round(reporter.seconds(), 3)})
    if failed := sum(finding.status == "fail" for finding in findings):
        raise DnahnetError(f"{failed} of {len(findings)} checks failed")


def _all(request: Request, reporter: Reporter, *, skip_test: bool) -> Iterator[Finding]:
    yield Finding("ok", "program", f"dnahnet {__version__}, Python {platform.python_version()}, {platform.platform()}")
    yield from _packages()
    yield from _devices(request)
    yield from _models(request.model)
    yield _folder(request.tmpdir)
    if not skip_test:
        yield from _self_test(request, reporter)


def _packages() -> Iterator[Finding]:
    known = {name: _version(name) for name in (*NEEDED, *(name for name, _, _ in EXTRAS))}
    missing = [name for name in NEEDED if known[name] is None]
    present = ", ".join(f"{name} {known[name]}" for name in NEEDED if known[name])
    yield Finding("ok", "packages", present)
    if missing:
        yield Finding("fail", "packages", f"missing: {', '.join(missing)}; install dnahnet again")
    extras = [f"{name} {known[name]}" for name, _, _ in EXTRAS if known[name]]
    if extras:
        yield Finding("ok", "extras", ", ".join(extras))
    for name, extra, purpose in EXTRAS:
        if known[name] is None:
            yield Finding("note", "extras", f"{name} is not installed: pip install 'dnahnet[{extra}]', for {purpose}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices(request: Request) -> Iterator[Finding]:
    import torch

    from dnahnet_cli.ops.backend import VARIABLE, kernels
    from dnahnet_cli.training.hardware import describe_device

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            yield Finding("ok", f"cuda:{index}", describe_device(f"cuda:{index}"))
    else:
        built = torch.version.cuda
        why = f"this torch is built for CUDA {built}, but sees no device" if built else "this torch is built for CPUs"
        yield Finding("note", "cuda", f"none: {why}")
    yield Finding("ok", "cpu", describe_device("cpu"))
    try:
        device = resolve_device(request.device)
        chosen = kernels(device.partition(":")[0])
    except DnahnetError as error:
        yield Finding("fail", "device", str(error))
        return
    reason = "asked for" if request.device != "auto" else "a GPU is there" if device == "cuda" else "no GPU is there"
    yield Finding("ok", "device", f"{device}: {reason}")
    if os.environ.get(VARIABLE):
        reason = f"forced by {VARIABLE}"
    elif device == "cpu":
        reason = "plain PyTorch, as always on a CPU"
    else:
        reason = "Triton on CUDA" if chosen == "triton" else "plain PyTorch, because Triton is not installed"
    yield Finding("ok", "kernels", f"{chosen}: {reason}")


def _models(wanted: str) -> Iterator[Finding]:
    from dnahnet_cli.networks.weights import DEFAULT_MODEL, bundled_models, find_model

    for name in dict.fromkeys([*bundled_models(), DEFAULT_MODEL, wanted]):
        try:
            file = find_model(name)
        except DnahnetError as error:
            yield Finding("fail", "weights", str(error))
        else:
            size = file.path.stat().st_size / 1e6
            yield Finding("ok", "weights", f"{file.name}, {size:.1f} MB, sha256 {file.sha256[:12]} as its card says")


def _folder(tmpdir: str | None) -> Finding:
    folder = Path(tmpdir or tempfile.gettempdir())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"dnahnet")
        free = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        return Finding(
            "fail", "temporary", f"{folder}: {error.strerror or error}; give another with --tmpdir or TMPDIR"
        )
    status: Literal["ok", "note"] = "ok" if free >= LEAST_FREE_GB else "note"
    return Finding(status, "temporary", f"{folder} can be written to, {free:,.1f} GB free; nothing is kept elsewhere")


def _self_test(request: Request, reporter: Reporter) -> Iterator[Finding]:
    from dnahnet_cli.networks.weights import find_model
    from dnahnet_cli.scoring.selftest import TOLERANCE, self_test

    began = time.monotonic()
    try:
        file = find_model(request.model)
        network, dtype_name = load_network(file, request, reporter)
        test = self_test(network, file.sha256)
    except DnahnetError as error:
        yield Finding("fail", "self-test", str(error))
        return
    except (RuntimeError, MemoryError) as error:  # a driver or library that does not fit; what else is the doctor for
        yield Finding("fail", "self-test", f"{type(error).__name__}: {str(error).splitlines()[0]}")
        return
    allowed, seconds = TOLERANCE[dtype_name], time.monotonic() - began
    yield Finding(
        "ok", "dtype", f"{dtype_name}: {'asked for' if request.dtype != 'auto' else 'the usual on this device'}"
    )
    if test.from_golden is None:
        yield Finding("note", "self-test", f"{file.name} is not bundled, so no scores are kept to compare with")
    else:
        status: Literal["ok", "fail"] = "ok" if test.from_golden <= allowed else "fail"
        text = (
            f"{len(test.scores)} scores differ by {test.from_golden:.1e} at most from those kept (allowed {allowed:g})"
        )
        yield Finding(status, "self-test", f"{text}, {seconds:.1f} s")
    status = "ok" if test.from_mirror <= allowed else "fail"
    yield Finding(status, "self-test", f"the reverse complement has the same scores, but for {test.from_mirror:.1e}")
