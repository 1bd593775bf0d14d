"""How the results page writes figures: intervals, p-values, comparisons, tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeGuard

BEATS, IS_BEHIND = "beats", "is behind"
_MISSING: Final = "-"


def defined(value: Any) -> TypeGuard[float]:
    """Tell whether a cell holds a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any, digits: int = 3) -> str:
    """Return a figure with so many decimals, integers with thousands, a dash for what is not defined."""
    if not defined(value):
        return _MISSING
    if isinstance(value, int):
        return f"{value:,}"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def with_interval(row: Mapping[str, Any], name: str, digits: int = 3) -> str:
    """Return the figure `name` of a row with its interval, from the cells name, name_low and name_high."""
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    text = number(row.get(name), digits)
    return f"{text} ({number(low, digits)} to {number(high, digits)})" if defined(low) and defined(high) else text


def p_value(p: Any, name: str = "p") -> str:
    """Return such as `p = 0.030`, or `p < 0.001`."""
    if not defined(p):
        return f"{name} not defined"
    return f"{name} < 0.001" if p < 0.001 else f"{name} = {p:.3f}" if p < 0.0995 else f"{name} = {p:.2f}"


def outcome(difference: Any, low: Any, high: Any) -> str:
    """Return what an interval says of a difference: beats, is behind, or no difference beyond chance."""
    if not (defined(difference) and defined(low) and defined(high)):
        return "cannot be compared with"
    if low > 0:
        return BEATS
    return IS_BEHIND if high < 0 else "shows no difference beyond chance from"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, num_texts: int = 1) -> str:
    """Return a Markdown table; the first `num_texts` columns are text, the others are set to the right."""
    rule = ["---" if at < num_texts else "---:" for at in range(len(header))]
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def counted(value: int, noun: str) -> str:
    """Return such as `1 assay` or `1,200 assays`."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def slug(text: str) -> str:
    """Return a text as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
