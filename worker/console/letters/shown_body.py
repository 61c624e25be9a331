"""The body of a letter on its page: bounded, whatever came in the message."""

import codecs
from dataclasses import dataclass
from typing import Final

from worker.dead_letters.bodies.body_text import hex_dump, indented

MOST_TEXT: Final = 64 * 1024
"""Bytes of a text that are shown; as much as workers keep of a message."""
_MOST_HEX: Final = 4 * 1024
_MOST_INDENTED: Final = 256 * 1024  # characters


@dataclass(frozen=True, slots=True)
class ShownBody:
    """`text` is None if the body is not UTF-8, `indented` if it is no JSON, or too long."""

    size: int
    shown: int
    """How many bytes of it are shown."""
    text: str | None
    indented: str | None
    dump: str | None
    """The bytes, if they are asked for or it is no text."""


def shown_body(body: bytes, *, is_cut: bool, as_bytes: bool) -> ShownBody:
    """`is_cut`: whether only the head of the body was kept."""
    head = body[:MOST_TEXT]
    is_whole = not is_cut and len(head) == len(body)
    text = None if as_bytes else _text(head, is_whole=is_whole)
    if text is None:
        dump = hex_dump(body[:_MOST_HEX])
        return ShownBody(len(body), min(len(body), _MOST_HEX), None, None, dump)
    pretty = indented(text, _MOST_INDENTED) if is_whole else None
    return ShownBody(len(body), len(head), text, pretty if pretty != text else None, None)


def _text(head: bytes, *, is_whole: bool) -> str | None:
    try:
        text, _ = codecs.utf_8_decode(head, "strict", is_whole)  # else, its end may be missing
    except UnicodeDecodeError:
        return None
    return text
