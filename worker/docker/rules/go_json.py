"""JSON objects as Go's decoder reads them into a struct: keys match without regard to case.

Numbers and the order of keys are kept as they were written.
"""

import json
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Final, TypeAlias, Union

from worker.docker.rules.refused import bad_request

Value: TypeAlias = Union["Object", "Number", list["Value"], str, bool, None]

# Besides ASCII, only these two letters fold to letters of Go's field names.
_FOLDED: Final = {ord("\N{LATIN SMALL LETTER LONG S}"): "s", ord("\N{KELVIN SIGN}"): "k"} | {
    ord(upper): upper.lower() for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
}


@dataclass(frozen=True, slots=True)
class Number:
    """As it was written: Python's own types would round it, or write it in another way."""

    text: str


class Object:
    """An object, with the keys in their order."""

    def __init__(self, pairs: list[tuple[str, Value]]) -> None:
        self.pairs = pairs
        self._positions: dict[str, int] | None = None

    def field(self, name: str) -> Value:
        """The value that Go puts into the field `name`; None if there is none.

        Raises Refused if two keys mean the same field: Go would merge them.
        """
        position = self._fields().get(_folded(name))
        return None if position is None else self.pairs[position][1]

    def nested(self, name: str) -> "Object":
        """The object in the field `name`, an empty one if there is none. Raises Refused."""
        value = self.field(name)
        if value is None:
            return Object([])
        if not isinstance(value, Object):
            raise bad_request(f"{name} is not an object")
        return value

    def entries(self, name: str) -> list[Value]:
        """The list in the field `name`, an empty one if there is none. Raises Refused."""
        value = self.field(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise bad_request(f"{name} is not a list")
        return value

    def text(self, name: str) -> str:
        """The string in the field `name`, empty if there is none. Raises Refused."""
        value = self.field(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise bad_request(f"{name} is not a string")
        return value

    def put(self, name: str, value: Value) -> None:
        """Set the field `name`, in its place if it has one. Raises Refused like `field`."""
        fields = self._fields()
        position = fields.setdefault(_folded(name), len(self.pairs))
        self.pairs[position : position + 1] = [(name, value)]

    def put_key(self, key: str, value: Value) -> None:
        """Set a key of a map, where case matters."""
        self.pairs = [pair for pair in self.pairs if pair[0] != key]
        self.pairs.append((key, value))
        self._positions = None

    def _fields(self) -> dict[str, int]:
        # Once: a body may have very many keys, and its worker has other work.
        if self._positions is None:
            if len({key.casefold() for key, _ in self.pairs}) < len(self.pairs):
                raise bad_request("the body names a key twice, or in two spellings")
            self._positions = {_folded(key): at for at, (key, _) in enumerate(self.pairs)}
        return self._positions


def parse(body: bytes) -> Object:
    """The object in a request body. Raises Refused."""
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=Object,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError):
        raise bad_request("the body is not JSON") from None
    if not isinstance(value, Object):
        raise bad_request("the body is not a JSON object")
    return value


def encode(value: Value) -> bytes:
    """Raises Refused for what is nested too deeply."""
    try:
        return _text(value).encode("ascii")
    except RecursionError:
        raise bad_request("the body is nested too deeply") from None


def _text(value: Value) -> str:
    match value:
        case Object():
            fields = (f"{encode_basestring_ascii(k)}:{_text(v)}" for k, v in value.pairs)
            return "{" + ",".join(fields) + "}"
        case list():
            return "[" + ",".join(map(_text, value)) + "]"
        case Number():
            return value.text
        case str():
            return encode_basestring_ascii(value)
        case _:
            return json.dumps(value)


def _folded(key: str) -> str:
    # The same for ASCII, and twice as fast.
    return key.lower() if key.isascii() else key.translate(_FOLDED)


def _refuse_constant(name: str) -> Value:
    raise ValueError(name)
