"""The page in a real browser: it loads without errors and without the network, and its rows move the genome browser.

Needs playwright, which is in the extra `browser`, and a Chromium of the machine's own: on the PATH as chromium or
google-chrome, or at the path in CHROMIUM.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.pages import EVIL, gene_rows, make_run, variant_rows

_NAMES = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((path for name in _NAMES if name and (path := shutil.which(name))), None)
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


class Opened:
    """A page in the browser, and whatever it did that it should not."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport={"width": 1300, "height": 1000})
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self._note(request.url, path))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]", timeout=90_000)

    def _note(self, url: str, path: Path) -> None:
        if url != path.as_uri() and not url.startswith(("data:", "blob:")):
            self.complaints.append(f"request: {url}")

    def locus(self) -> str:
        """Return what the genome browser says that it shows."""
        value: str = self.page.locator(".igv-search-input").input_value()
        return value

    def rows(self, table: str) -> Any:
        return self.page.locator(f"[data-table={table}] tbody tr")

    def column(self, table: str, key: str) -> list[str]:
        texts: list[str] = self.page.locator(f"[data-table={table}] td[data-key={key}]").all_text_contents()
        return texts


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder = tmp_path_factory.mktemp("page")
    path = folder / "report.html"
    path.write_text(make_run(folder).html(), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield Opened(browser, path)
        browser.close()


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace("\u2212", "-").replace(",", "")) for text in texts if text]


def test_tracks_are_there_and_drawn(opened: Opened) -> None:
    names = opened.page.locator(".igv-track-label").all_text_contents()
    assert names == [
        "genes",
        "variants",
        "damage",
        "essentiality score",
        *(f"chunks, stage {stage}, {strand}" for stage in (1, 2) for strand in ("forward", "reverse")),
        "t",
    ]
    drawn = """(number) => {
        const canvases = [...document.querySelector('#igv').shadowRoot.querySelectorAll('.igv-viewport canvas')];
        const isDrawn = (own) => own.width && own.height &&
            own.getContext('2d').getImageData(0, 0, own.width, own.height).data.some((value) => value !== 0);
        return canvases.filter(isDrawn).length >= number;
    }"""
    # Beside these, the ruler and the sequence are drawn.
    opened.page.wait_for_function(drawn, arg=len(names) + 1, timeout=30_000)


def test_a_click_on_a_row_moves_the_browser(opened: Opened) -> None:
    position = opened.column("variants", "pos")[3].replace(",", "")
    opened.rows("variants").nth(3).click()
    opened.page.wait_for_function(
        f"() => document.querySelector('#place').textContent.includes(({position}).toLocaleString('en'))"
    )
    contig, _, span = opened.locus().partition(":")
    first, last = (int(text.replace(",", "")) for text in span.split("-"))
    assert first <= int(position) <= last and last - first < 500
    assert contig in ("first", "_script_alert_1___script_")
    assert opened.rows("variants").nth(3).get_attribute("aria-selected") == "true"


def test_the_keyboard_does_the_same(opened: Opened) -> None:
    opened.rows("genes").nth(0).focus()
    opened.page.keyboard.press("ArrowDown")
    opened.page.keyboard.press("Enter")
    start = gene_rows()[1]["start"]
    opened.page.wait_for_function(f"() => document.querySelector('#place').textContent.includes('first:{start:,}')")
    assert opened.locus().startswith("first:")


def test_tables_sort(opened: Opened) -> None:
    head = opened.page.locator("[data-table=variants] th", has_text="damage")
    assert head.get_attribute("aria-sort") == "descending"  # as they come
    for direction, is_falling in (("ascending", False), ("descending", True)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == direction
        shown = numbers(opened.column("variants", "damage"))
        known = sorted((row["damage"] for row in variant_rows() if "damage" in row), reverse=is_falling)
        assert shown == pytest.approx(known[: len(shown)], rel=1e-3)


def test_tables_filter(opened: Opened) -> None:
    page = opened.page
    page.locator("[data-table=variants] select").select_option("missense_variant")
    assert set(opened.column("variants", "consequence")) == {"missense_variant"}
    page.locator("[data-table=variants] input[type=number]").fill("0.5")
    shown = numbers(opened.column("variants", "damage"))
    wanted = [
        row
        for row in variant_rows()
        if row["consequence"] == "missense_variant" and row.get("damage", float("-inf")) >= 0.5
    ]
    assert len(shown) == len(wanted) > 0 and min(shown) >= 0.5
    page.locator("[data-table=variants] input[type=search]").fill("nothing like this")
    assert opened.rows("variants").count() == 0
    page.locator("[data-table=variants] input[type=search]").fill("")
    page.locator("[data-table=variants] input[type=number]").fill("")
    page.locator("[data-table=variants] select").select_option("")
    assert opened.rows("variants").count() == 50


def test_the_map_tells_the_mutant_under_the_pointer(opened: Opened) -> None:
    opened.page.locator("svg.map").hover(position={"x": 16 + 9 * 2.5, "y": 22 + 9 * 0.5})
    assert opened.page.locator("#mutant").text_content() == "L3G: llr \u22120.4100"


def test_the_popup_of_a_feature_shows_names_as_they_are(opened: Opened) -> None:
    """The features' texts go through the page's own escaping, whatever igv.js does with markup."""
    opened.page.evaluate("() => show(data.tracks[0].blocks[0].slice(0, 3), document.body)")
    html = opened.page.evaluate(
        "text => popup({}, [], 0, [{info: [['gene', text], [text, 1]]}, {start: 3, end: 9, cut: 700}])", EVIL
    )
    assert EVIL not in html and html.count("&lt;script&gt;") == 2 and "0.7" in html


def test_nothing_was_said_asked_for_or_run(opened: Opened) -> None:
    """Last, so that it holds for all that was done above."""
    assert opened.page.title().startswith("dnahnet report")
    assert opened.complaints == []


def test_a_request_would_be_refused(opened: Opened) -> None:
    """The page's own policy stands in the way of every connection, and the test above would have seen it."""
    outcome = opened.page.evaluate("() => fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
    assert outcome == "refused"
    assert any("Content Security Policy" in text for text in opened.complaints)
