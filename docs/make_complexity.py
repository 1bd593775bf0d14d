"""Write the tables and the picture of docs/explanation/complexity.md, or check that the tables are up to date.

    python docs/make_complexity.py            write both
    python docs/make_complexity.py --check    exit with 1 when the tables are not what would be written

Everything is counted from the shapes of the presets, so that the same presets give the same page on any machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from dnahnet_cli.benchmarking.complexity import COMPARED, balance, count, draw, meeting, parts
from dnahnet_cli.benchmarking.sizes import LABELS
from dnahnet_cli.networks.presets import PRESETS

PAGE = Path(__file__).resolve().parent / "explanation" / "complexity.md"
PICTURE = PAGE.parent / "images" / "complexity.png"
LENGTHS = (1 << 10, 1 << 13, 1 << 15, 1 << 17, 1 << 20)
POWERS = [f"2^{length.bit_length() - 1}" for length in LENGTHS]
SIZES = ("small", "base")


def architectures() -> str:
    """Return the table of operations per base."""
    lines = [["preset", "architecture", *POWERS]]
    for size in SIZES:
        for arch in COMPARED:
            own = [count(PRESETS[arch][size], length).per_base / 1e6 for length in LENGTHS]
            lines.append([f"`{size}`", LABELS[arch], *(f"{value:,.1f}" for value in own)])
    return table(lines)


def shares() -> str:
    """Return the table of dnaHNet's parts."""
    lines = [["preset", "part", *POWERS]]
    for size in SIZES:
        by_length = [parts(PRESETS["dnahnet"][size], length) for length in LENGTHS]
        for label in by_length[0]:
            own = [found[label] / sum(found.values()) for found in by_length]
            lines.append([f"`{size}`", label, *(f"{100 * value:.1f} %" for value in own)])
    return table(lines)


def lengths() -> str:
    """Return the table of the lengths at which something changes."""
    lines = [["", *(f"`{size}`" for size in SIZES)]]
    for arch in ("transformer", "striped-hyena2", "dnahnet"):
        own = [balance(PRESETS[arch][size]) for size in SIZES]
        lines.append([f"{LABELS[arch]}: attention is half of all from", *(f"{value:,}" for value in own)])
    own_meeting = [meeting(PRESETS["dnahnet"][size], PRESETS["mamba2"][size]) for size in SIZES]
    lines.append(["Mamba-2 needs less than dnaHNet from", *("-" if n is None else f"{n:,}" for n in own_meeting)])
    return table(lines, num_texts=1)


def table(lines: list[list[str]], num_texts: int = 2) -> str:
    """Return a Markdown table, its first columns text."""
    header, *rows = lines
    rule = ["---" if at < num_texts else "---:" for at in range(len(header))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *rows))


TABLES: Mapping[str, Callable[[], str]] = {"architectures": architectures, "shares": shares, "lengths": lengths}


def render(page: str) -> str:
    """Return the page with its tables made anew, each between two comments that name it."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, found, rest = page.partition(begin)
        _, also_found, after = rest.partition(end)
        if not (found and also_found):
            sys.exit(f"{PAGE.name} has no place for the table {name!r}")
        page = before + begin + make() + end + after
    return page


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    made = render(page)
    if sys.argv[1:] == ["--check"]:
        if made != page:
            sys.exit(f"{PAGE.name} is not what the presets give: run python docs/make_complexity.py")
    elif sys.argv[1:]:
        sys.exit((__doc__ or "").strip())
    else:
        PAGE.write_text(made, encoding="utf-8")
        draw("small", PICTURE)


if __name__ == "__main__":
    main()
