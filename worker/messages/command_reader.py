"""Parses commands, and tolerates faults in their informational fields.

Such a field affects no decision, so a fault in it must not block a cancel: the usable part of the
value is kept, and the fault is recorded.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from shared.commands import CancelCommand
from shared.limits import MAX_TEXT
from worker.messages.json_body import Duplicates, nested_too_deeply, object_in, storable

INFORMATION: Final = ("reason", "requested_by", "requested_at")

_DECIDING: Final = tuple(name for name in CancelCommand.model_fields if name not in INFORMATION)
_DUPLICATES: Final = Duplicates(CancelCommand.__name__, _DECIDING)
_REPLACED: Final = "Characters that cannot be stored were replaced"


@dataclass(frozen=True, slots=True)
class Reading:
    """A command, and the faults in its informational fields."""

    command: CancelCommand
    faults: Mapping[str, str]


def read(body: bytes) -> Reading:
    """Parse a command. Raises ValidationError if another field is invalid or missing."""
    try:
        return _read(body)
    except RecursionError:
        raise nested_too_deeply(CancelCommand.__name__) from None


def reject_duplicates(body: bytes) -> None:
    """Raise ValidationError if a field that decides appears twice. `body` must be valid JSON."""
    _DUPLICATES.reject(body)


def _read(body: bytes) -> Reading:
    try:
        reading = Reading(CancelCommand.model_validate_json(body), {})
    except ValidationError:
        said = object_in(body)
        if said is None:
            raise
        reading = _mended({name: said[name] for name in CancelCommand.model_fields if name in said})
    _DUPLICATES.reject(body)
    return reading


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
