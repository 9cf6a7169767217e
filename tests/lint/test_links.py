"""Every link and picture in the Markdown files leads to a file of the project, and to a heading that the file has."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from itertools import pairwise
from pathlib import Path, PurePosixPath
from posixpath import normpath
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
# Also what is not committed yet, but nothing that git ignores: a visitor does not have it.
LIST = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
NAMES = subprocess.run(LIST, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
FILES = [PurePosixPath(name) for name in NAMES if (ROOT / name).exists()]
PATHS = {str(path) for file in FILES for path in (file, *file.parents)}
PAGES = [str(file) for file in FILES if file.suffix == ".md"]


@cache
def _tokens(page: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text())


def _targets(page: str) -> list[str]:
    """Where the links and pictures of a page lead, other sites left out."""
    parts = [part for token in _tokens(page) for part in token.children or []]
    found = [str(part.attrs[name]) for part in parts for name in ("href", "src") if name in part.attrs]
    return [target for target in found if not urlsplit(target).scheme]


def _anchors(page: str) -> set[str]:
    """Names that GitHub gives to the headings of a page, for links that end in `#name`."""
    headings = [token for before, token in pairwise(_tokens(page)) if before.type == "heading_open"]
    texts = ["".join(part.content for part in token.children or []) for token in headings]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    dead = []
    for target in _targets(page):
        path, _, anchor = unquote(target).partition("#")
        name = normpath(PurePosixPath(page).parent / path) if path else page
        if name not in PATHS or (anchor and anchor not in _anchors(name)):
            dead.append(target)
    assert dead == []
