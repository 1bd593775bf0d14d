"""MkDocs hooks that make of docs/, which is written to be read on GitHub, a site that stands alone.

Links that leave docs/, to code or to measurements, lead to pages made of those files. Headings get the anchors that
GitHub gives them, and lists may be indented by two.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from markdown import Extension, Markdown
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
STYLE = ROOT / "packaging" / "site.css"
FOLDER = "source"  # of the pages made of files outside docs/
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#\s])")


class _Indent(Extension):
    def extendMarkdown(self, md: Markdown) -> None:
        md.tab_length = 2
        md.build_parser()  # which took the width as it was


def github_anchor(text: str, separator: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", separator)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.mdx_configs["toc"]["slugify"] = github_anchor
    config.markdown_extensions.insert(0, _Indent())  # type: ignore[arg-type]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file outside docs/ that a page links to, and for those that these link to."""
    files.append(File.generated(config, STYLE.name, content=STYLE.read_text()))
    docs = Path(config.docs_dir)
    waiting = [Path(f.abs_src_path) for f in files.documentation_pages() if f.abs_src_path]
    known: set[Path] = set()
    while waiting:
        path = waiting.pop()
        for target in LINK.findall(_text_of(path)):
            linked = _linked(path, target)
            if linked and not linked.is_relative_to(docs) and linked not in known:
                known.add(linked)
                waiting.append(linked)
                files.append(File.generated(config, _page_of(linked), content=_text_of(linked)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links to files outside docs/ into links to their pages."""
    docs = Path(config.docs_dir)
    generated = page.file.abs_src_path is None
    here = page.file.src_uri
    original = ROOT / here.removeprefix(f"{FOLDER}/").removesuffix(".md") if generated else docs / here

    def relinked(match: re.Match[str]) -> str:
        linked = _linked(original, match[1])
        if linked is None:
            return match[1]
        page_uri = linked.relative_to(docs).as_posix() if linked.is_relative_to(docs) else _page_of(linked)
        return os.path.relpath(page_uri, os.path.dirname(here))

    return LINK.sub(relinked, markdown)


def _linked(path: Path, target: str) -> Path | None:
    """Return the file or folder of the project that a link on `path` leads to."""
    if ":" in target:
        return None
    linked = Path(os.path.normpath((path if path.is_dir() else path.parent) / target))
    return linked if linked.exists() and linked.is_relative_to(ROOT) else None


def _page_of(path: Path) -> str:
    return f"{FOLDER}/{path.relative_to(ROOT).as_posix()}.md"


def _text_of(path: Path) -> str:
    """Return what the page of a file shows: Markdown as it is, code as code, the Markdown files of a folder."""
    if path.is_dir():
        names = [f"- [{child.name}]({child.name})" for child in sorted(path.glob("*.md"))]
        return "\n".join([f"# {path.relative_to(ROOT)}", "", *names])
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    if path.suffix in {".png", ".svg", ".json"}:
        return ""
    return f"# {path.relative_to(ROOT)}\n\n```{path.suffix[1:]}\n{path.read_text(encoding='utf-8').rstrip()}\n```\n"
