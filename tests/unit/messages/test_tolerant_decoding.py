"""Properties that no specification allows are read all the same."""

import struct
import subprocess
import sys

import pytest

READ = """
import sys
from pamqp import decode
from worker.messages.tolerant_decoding import read_any_property

read_any_property()
print(decode.by_type(bytes.fromhex(sys.argv[2]), sys.argv[1])[0])
"""


@pytest.mark.parametrize("timestamp", [2**64 - 1, 10**18, 1_700_000_000, 0])
def test_any_timestamp_can_be_read(timestamp: int) -> None:
    assert _read("timestamp", struct.pack(">Q", timestamp)) == 8


@pytest.mark.parametrize("text", [b"", b"plain", b"\xff\xfe", b"\xff" * 255])
def test_any_short_string_can_be_read(text: bytes) -> None:
    assert _read("shortstr", bytes([len(text)]) + text) == len(text) + 1


def _read(kind: str, value: bytes) -> int:
    """How many bytes were read, in a process of its own: it changes the library."""
    command = [sys.executable, "-c", READ, kind, value.hex()]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


NOT_UTF8 = b"\x02\xff\x00t\x01"


def _nested(depth: int, kind: bytes) -> bytes:
    """The inside of a table that has as many tables, or arrays, in it."""
    inside = b""
    for _ in range(depth):
        name = b"\x01a" if kind == b"F" else b""
        inside = name + kind + struct.pack(">I", len(inside)) + inside
    return inside if kind == b"F" else b"\x01a" + inside


@pytest.mark.parametrize(
    "inside",
    [b"", NOT_UTF8, _nested(50, b"F"), _nested(5000, b"F"), _nested(5000, b"A"), b"\x01ax"],
    ids=["empty", "not UTF-8", "nested", "tables", "arrays", "cut off"],
)
def test_any_headers_can_be_read(inside: bytes) -> None:
    assert _read("table", struct.pack(">I", len(inside)) + inside) == 4 + len(inside)
