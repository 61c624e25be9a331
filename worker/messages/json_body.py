"""JSON bodies of messages, whatever they ask for."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

# UTF-8 has no surrogates, and Postgres stores no NUL.
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
# Python parses integers of up to 4300 digits; longer ones are out of range anyway.
_MOST_DIGITS: Final = 4300


def object_in(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body`, with all escapes in its strings decoded."""
    try:
        said = json.loads(body.decode(), parse_int=_number)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def storable(text: str) -> str:
    """`text` as Postgres can store it."""
    return _UNSTORABLE.sub("\ufffd", text)


def first_problem(error: ValidationError) -> str:
    """The first problem, in one line and without the input."""
    problem = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg']}" if place else problem["msg"]


class Duplicates:
    """Finds fields that appear twice, because that is ambiguous.

    Both JSON parsers here use the last one; others use the first (RFC 8259, 4).
    """

    def __init__(self, model: str, fields: Sequence[str]) -> None:
        self._model = model
        self._fields = tuple(fields)
        self._quoted = tuple(f'"{name}"'.encode() for name in fields)

    def reject(self, body: bytes) -> None:
        """Raise ValidationError if one of the fields appears twice in the outermost object.

        `body` must be valid JSON.
        """
        # A name may be written with escapes, and is then not found here; most bodies have none.
        if b"\\u" not in body and not any(body.count(name) > 1 for name in self._quoted):
            return
        names: list[str] = []

        def note(pairs: list[tuple[str, Any]]) -> None:
            names[:] = [name for name, _ in pairs]  # the outermost object comes last

        json.loads(body.decode(), parse_int=_number, object_pairs_hook=note)
        for name in self._fields:
            if names.count(name) > 1:
                problem = PydanticCustomError("twice", "Field appears twice")
                raise invalid(self._model, problem, name)


def nested_too_deeply(model: str) -> ValidationError:
    """Each JSON parser and serializer here has its own depth limit."""
    return invalid(model, PydanticCustomError("nested", "JSON is nested too deeply"))


def invalid(model: str, problem: PydanticCustomError, *place: str) -> ValidationError:
    return ValidationError.from_exception_data(
        model, [{"type": problem, "loc": place, "input": None}]
    )


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)
