"""The body of a dead letter for people: as text, with JSON indented, or as bytes."""

import codecs
import json
from typing import Final

_HEX_WIDTH: Final = 16


def body_as_text(body: bytes, *, is_cut: bool = False) -> str | None:
    """`body` as text, or None if it is not printable text.

    If it `is_cut`, its last character may be incomplete.
    """
    try:
        text, _ = codecs.utf_8_decode(body, "strict", not is_cut)
    except UnicodeDecodeError:
        return None
    shown = text.replace("\n", "").replace("\t", "").replace("\r", "")
    return text if shown.isprintable() else None


def indented(text: str, most: int | None = None) -> str | None:
    """`text` indented if it is JSON; None if it is not, or would have more than `most` characters.

    A short text can become very long: each of its lines may be as far to the right as its depth.
    """
    try:
        said = json.loads(text)
        if most is None:
            return json.dumps(said, indent=2, ensure_ascii=False)
        parts, length = [], 0
        for part in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(said):
            parts.append(part)
            length += len(part)
            if length > most:
                return None
    except (ValueError, RecursionError):  # the latter: nested too deeply
        return None
    return "".join(parts)


def hex_dump(body: bytes) -> str:
    lines = []
    for start in range(0, len(body), _HEX_WIDTH):
        piece = body[start : start + _HEX_WIDTH]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        lines.append(f"{start:08x}  {piece.hex(' '):<{3 * _HEX_WIDTH}} {text}")
    return "\n".join(lines)
