"""Turn what a page shows into HTML: one file with its styles, scripts and data, which asks the network for nothing.

Names in the data come from files of anyone. Text is escaped where it becomes markup; in the data, which stand in a
script element, every character that could end it is written as an escape of JSON; page.js only ever sets text. Should
something slip through all the same, the page's own policy lets no script run but the two whose hashes it names, and
nothing connect to anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import Any, Final

from dnahnet_cli import __version__

_PLACE: Final = re.compile(r"\{\{([a-z]+)\}\}")
_SOURCE_MAP: Final = re.compile(r"\n//# sourceMappingURL=\S+\s*$")
_IN_SCRIPT: Final = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&"}


@dataclass(frozen=True)
class Section:
    """A part of the page; `body` is markup, in which all that is not the program's own is escaped."""

    id: str
    title: str
    body: str


@dataclass(frozen=True)
class Page:
    """What a page shows; `data` is what page.js reads, `sequence` the genome as base64 of a gzip FASTA."""

    title: str
    sections: Sequence[Section]
    data: Mapping[str, Any]
    sequence: str
    warnings: Sequence[str] = field(default_factory=tuple)


def render(page: Page) -> str:
    """Return the page as one HTML document."""
    browser, script = _SOURCE_MAP.sub("\n", resource("igv.min.js")), resource("page.js")
    values = {
        "policy": escape(_policy(browser, script)),
        "generator": f"dnahnet {__version__}",
        "title": escape(page.title),
        "style": resource("page.css"),
        "links": " ".join(f'<a href="#{own.id}">{escape(own.title)}</a>' for own in page.sections),
        "warnings": "".join(f'<p class="warning" role="note">{escape(text)}</p>' for text in page.warnings),
        "sections": "\n".join(_section(own) for own in page.sections),
        "footer": _footer(),
        "data": as_script(page.data),
        "sequence": page.sequence,
        "browser": browser,
        "script": script,
    }
    return _PLACE.sub(lambda match: values[match[1]], resource("template.html"))


def as_script(data: Mapping[str, Any]) -> str:
    """Return JSON that can stand in a script element: plain ASCII, without the letters that markup is made of."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).translate(_IN_SCRIPT)


def definitions(pairs: Sequence[tuple[str, str]]) -> str:
    """Return terms and what they are as a list."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in pairs)
    return f"<dl>{rows}</dl>"


def small_table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of a few rows."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<table class="small"><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def items(texts: Sequence[str]) -> str:
    """Return texts as a list."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"


def resource(name: str) -> str:
    """Return a file of the page, as it stands in the package."""
    return (files("dnahnet_cli.report") / name).read_text(encoding="utf-8")


def _policy(*scripts: str) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    # igv.js puts its styles into the page itself, and its pictures are data.
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _section(section: Section) -> str:
    return f'<section id="{section.id}"><h2>{escape(section.title)}</h2>\n{section.body}\n</section>'


def _footer() -> str:
    licence = escape(resource("igv.LICENSE"))
    return (
        f"<p>Written by dnahnet {escape(__version__)}. Scores are for ranking within one run; they are no "
        "probabilities, there is no threshold, and they are not for clinical use.</p>"
        f"<details><summary>Licence of igv.js, which this page contains</summary><pre>{licence}</pre></details>"
    )
