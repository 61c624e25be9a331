"""The documents lead to one another: links and anchors exist, and the README's map is complete."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.repository.documents import DOCS, README, ROOT, documents

README_LINES: Final = 220
CODE: Final = (
    "gateway",
    "worker",
    "shared",
    "deploy",
    "tools",
    "tests",
    "compose.yaml",
    "Dockerfile",
)

_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_PATH = re.compile(r"`((?:gateway|worker|shared|tools|tests|deploy)/[\w/.-]*\w/?)`")
_NAMED = re.compile(r"\bdocs/[a-z-]+\.md(?:#[a-z0-9-]+)?")


def _prose(document: Path) -> str:
    return _FENCED.sub("", document.read_text())


def _anchors(document: Path) -> Iterator[str]:
    """As GitHub makes them of headings: one that comes again gets a number."""
    seen: Counter[str] = Counter()
    for heading in _HEADING.findall(_prose(document)):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        yield f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor
        seen[anchor] += 1


def _links(text: str) -> list[str]:
    return [link for link in _LINK.findall(text) if not re.match(r"https?:", link)]


def _follow(link: str, document: Path) -> None:
    path, _, anchor = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    assert target.exists(), link
    assert not anchor or anchor in _anchors(target), link


def _each(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", documents(), ids=_each)
def test_links_lead_somewhere(document: Path) -> None:
    for link in _links(_prose(document)):
        _follow(link, document)


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= README_LINES


def test_the_readmes_map_has_every_document() -> None:
    chapter = _prose(README).partition("\n## Documents\n")[2].partition("\n## ")[0]

    mapped = {(ROOT / link).resolve() for link in _links(chapter)}

    assert {*documents(), *DOCS.glob("*.md")} - {README} <= mapped


def test_documents_that_code_and_configuration_name_exist() -> None:
    files = [file for part in CODE for file in (ROOT / part, *(ROOT / part).rglob("*"))]
    named = {
        name
        for file in files
        if file.suffix in (".py", ".yml", ".yaml", ".env", ".service", ".sql") and file.is_file()
        for name in _NAMED.findall(file.read_text())
    }

    assert named
    for name in named:
        _follow(name, README)


@pytest.mark.parametrize("document", documents(), ids=_each)
def test_files_that_a_document_names_exist(document: Path) -> None:
    if document.name == "CHANGELOG.md":
        return  # tells of versions that had other files
    missing = [
        path for path in _PATH.findall(_prose(document)) if not (ROOT / path.rstrip("/")).exists()
    ]

    assert missing == []


def test_the_path_of_a_cancel_has_20_files_at_most() -> None:
    chapter = (DOCS / "how-it-works.md").read_text().partition("## The path of a cancel")[2]
    files = _PATH.findall(chapter.partition("\n## ")[0])

    assert 10 < len(files) == len(set(files)) <= 20
