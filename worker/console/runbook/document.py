"""docs/runbook.md as HTML, with the anchors that GitHub would give its headings."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from worker.console.runbook.anchors import anchor_of

_FOLDER: Final = "docs"
_THIS: Final = "runbook.md"


@dataclass(frozen=True, slots=True)
class Heading:
    title: str
    anchor: str
    level: int


@dataclass(frozen=True, slots=True)
class Document:
    html: Markup
    headings: Sequence[Heading]


@cache
def runbook() -> Document:
    return render((resources.files("worker.console.runbook") / _THIS).read_text("utf-8"))


def render(text: str) -> Document:
    """Render our own Markdown, in which HTML is text."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    headings = list(_give_anchors(tokens))
    for token in tokens:
        # Wide code scrolls, and who has no mouse must be able to do that too.
        if token.type == "fence":
            token.attrs = {"tabindex": 0}
            token.info = ""
        token.attrs.pop("style", None)  # the alignment of a column, which our policy forbids
        token.children = list(_without_foreign_links(token.children or ()))
    html = markdown.renderer.render(tokens, markdown.options, {})
    html = html.replace("<table>", '<div class="scroll" tabindex="0"><table>')
    safe = Markup(html.replace("</table>", "</table></div>"))  # noqa: S704 - a document of our own
    return Document(safe, headings)


def _give_anchors(tokens: Sequence[Token]) -> Iterator[Heading]:
    seen: Counter[str] = Counter()
    for token, content in pairwise(tokens):
        if token.type == "heading_open":
            title = "".join(part.content for part in content.children or ())
            anchor = anchor_of(title)
            number, seen[anchor] = seen[anchor], seen[anchor] + 1
            anchor = f"{anchor}-{number}" if number else anchor
            token.attrs["id"] = anchor
            yield Heading(title, anchor, int(token.tag[1:]))


def _without_foreign_links(parts: Sequence[Token]) -> Iterator[Token]:
    """Links within the runbook stay. Other documents are not served here: these are named."""
    named: str | None = None
    text = ""
    for part in parts:
        if part.type == "link_open":
            target = str(part.attrs["href"])
            path, _, anchor = target.partition("#")
            if path in ("", _THIS):
                part.attrs["href"] = f"#{anchor}"
            elif "://" not in target:
                named, text = path, ""
                continue
        elif part.type == "link_close" and named is not None:
            if text != named:
                name = named.removeprefix("../") if ".." in named else f"{_FOLDER}/{named}"
                yield Token("text", "", 0, content=f" ({name})")
            named = None
            continue
        text += part.content
        yield part
