"""Parses commands, and tolerates faults in their informational fields.

Such a field affects no decision, so a fault in it must not block a cancel: the usable part of the
value is kept, and the fault is recorded.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from shared.commands import MAX_TEXT, CancelCommand

INFORMATION: Final = ("reason", "requested_by", "requested_at")

_DECIDING: Final = tuple(name for name in CancelCommand.model_fields if name not in INFORMATION)
_QUOTED: Final = tuple(f'"{name}"'.encode() for name in _DECIDING)

# UTF-8 has no surrogates, and Postgres stores no NUL.
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_REPLACED: Final = "Characters that cannot be stored were replaced"
# Python parses integers of up to 4300 digits; longer ones are out of range anyway.
_MOST_DIGITS: Final = 4300


@dataclass(frozen=True, slots=True)
class Reading:
    """A command, and the faults in its informational fields."""

    command: CancelCommand
    faults: Mapping[str, str]


def read(body: bytes) -> Reading:
    """Parse a command. Raises ValidationError if another field is invalid or missing."""
    try:
        return _read(body)
    except RecursionError:  # each JSON parser and serializer here has its own depth limit
        raise _invalid(PydanticCustomError("nested", "JSON is nested too deeply")) from None


def _read(body: bytes) -> Reading:
    try:
        reading = Reading(CancelCommand.model_validate_json(body), {})
    except ValidationError:
        said = object_in(body)
        if said is None:
            raise
        reading = _mended({name: said[name] for name in CancelCommand.model_fields if name in said})
    _reject_duplicates(body)
    return reading


def object_in(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body`, with all escapes in its strings decoded."""
    try:
        said = json.loads(body.decode(), parse_int=_number)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _reject_duplicates(body: bytes) -> None:
    """Raise ValidationError if a deciding field appears twice, because that is ambiguous.

    Both JSON parsers here use the last one; others use the first (RFC 8259, 4).
    """
    # A name may be written with escapes, and is then not found here; most bodies have none.
    if b"\\u" not in body and not any(body.count(name) > 1 for name in _QUOTED):
        return
    names: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        names[:] = [name for name, _ in pairs]  # the outermost object comes last

    json.loads(body.decode(), parse_int=_number, object_pairs_hook=note)
    for name in _DECIDING:
        if names.count(name) > 1:
            raise _invalid(PydanticCustomError("twice", "Field appears twice"), name)


def _invalid(problem: PydanticCustomError, *place: str) -> ValidationError:
    return ValidationError.from_exception_data(
        CancelCommand.__name__, [{"type": problem, "loc": place, "input": None}]
    )


def storable(text: str) -> str:
    """`text` as Postgres can store it."""
    return _UNSTORABLE.sub("\ufffd", text)


def first_problem(error: ValidationError) -> str:
    """The first problem, in one line and without the input."""
    problem = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg']}" if place else problem["msg"]


def _mended(fields: dict[str, Any]) -> Reading:
    faults: dict[str, str] = {}
    for name in INFORMATION:
        match fields.get(name):
            case str(text) if (stored := storable(text)) != text:
                fields[name], faults[name] = stored, _REPLACED
            case list() | dict() as value:
                fields[name] = type(value)()  # the contents could be nested too deeply
    try:
        return Reading(_validated(fields), faults)
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = str(next(iter(problem["loc"]), ""))
            if name in INFORMATION:
                fault = problem["msg"]
                if problem["type"] == "string_too_long":
                    fields[name] = fields[name][:MAX_TEXT]
                    fault += ", and was cut"
                else:
                    fields[name] = None
                faults[name] = f"{faults[name]}; {fault}" if name in faults else fault
    return Reading(_validated(fields), faults)


def _validated(fields: Mapping[str, Any]) -> CancelCommand:
    # As JSON, because strict mode depends on it. Surrogates in other fields are invalid anyway.
    said = json.dumps(fields, ensure_ascii=False).encode(errors="replace")
    return CancelCommand.model_validate_json(said)


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)
