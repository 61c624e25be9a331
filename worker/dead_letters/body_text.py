"""The body of a dead letter as text."""

import codecs


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
