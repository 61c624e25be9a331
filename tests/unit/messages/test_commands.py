"""The cancel command: what is sent is what is read, and nothing is read loosely."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.commands import CancelCommand
from shared.limits import BIGINT_MAX

ID = str(uuid4())

# The first and the last time of all are stored as infinite.
STORED_AS_THEY_ARE = (datetime(1, 1, 1, 0, 0, 1), datetime(9999, 12, 31))  # noqa: DTZ001
# Postgres stores neither NUL nor surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=255)
commands = st.builds(
    CancelCommand,
    command_id=st.uuids(),
    run_id=st.integers(1, BIGINT_MAX),
    reason=st.none() | texts,
    requested_by=st.none() | texts,
    requested_at=st.none() | st.datetimes(*STORED_AS_THEY_ARE, timezones=st.just(UTC)),
    force=st.booleans(),
    grace_seconds=st.none() | st.floats(0, 600),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _read(body: bytes | str) -> CancelCommand:
    return CancelCommand.model_validate_json(body)


def _with(**fields: Any) -> str:
    return json.dumps({"command_id": ID, "run_id": 1, **fields})


@given(commands)
def test_what_is_sent_is_what_is_read(command: CancelCommand) -> None:
    assert _read(command.model_dump_json()) == command
    assert _read(command.model_dump_json(exclude_none=True)) == command


@given(commands, st.dictionaries(st.text(), json_values))
def test_unknown_fields_are_ignored(command: CancelCommand, unknown: dict[str, Any]) -> None:
    body = json.loads(command.model_dump_json())

    assert _read(json.dumps({**unknown, **body})) == command


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_a_validation_error_and_nothing_worse(body: bytes) -> None:
    with pytest.raises(ValidationError):
        _read(body)


@pytest.mark.parametrize(
    "fields",
    [
        {"command_id": None},
        {"command_id": 1},
        {"command_id": "not-a-uuid"},
        {"run_id": None},
        {"run_id": "1"},
        {"run_id": 1.5},
        {"run_id": True},
        {"run_id": 0},
        {"run_id": -1},
        {"run_id": BIGINT_MAX + 1},
        {"reason": 1},
        {"reason": "r" * 256},
        {"reason": "a\x00b"},
        {"reason": "\ud800"},
        {"requested_by": "r" * 256},
        {"requested_by": "a\x00b"},
        {"requested_at": "yesterday"},
        {"requested_at": "0001-01-01T00:00:00+23:59"},  # before the first year, in UTC
        {"requested_at": "2026-01-01T00:00:00"},  # no time zone
        {"force": "true"},
        {"force": 1},
        {"force": None},
        {"grace_seconds": "1"},
        {"grace_seconds": -1},
        {"grace_seconds": 600.1},
        {"grace_seconds": float("nan")},
        {"grace_seconds": float("inf")},
    ],
    ids=lambda fields: json.dumps(fields)[:40],
)
def test_a_field_of_the_wrong_kind_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _read(_with(**fields))


@pytest.mark.parametrize("missing", ["command_id", "run_id"])
def test_what_a_command_cannot_do_without(missing: str) -> None:
    body = json.loads(_with())
    del body[missing]

    with pytest.raises(ValidationError, match=missing):
        _read(json.dumps(body))


def test_limits_themselves_are_accepted() -> None:
    command = _read(_with(run_id=BIGINT_MAX, reason="\N{GRINNING FACE}" * 255, grace_seconds=600))

    assert command.run_id == 2**63 - 1  # the most that Postgres takes for a bigint
    assert command.grace_seconds == 600.0
    assert len(command.reason or "") == 255


def test_only_the_required_fields_are_enough() -> None:
    assert _read(_with()) == CancelCommand(command_id=UUID(ID), run_id=1)


@given(commands)
def test_a_command_names_no_process_path_or_host(command: CancelCommand) -> None:
    assert set(command.model_dump()) == {
        "command_id",
        "run_id",
        "reason",
        "requested_by",
        "requested_at",
        "force",
        "grace_seconds",
    }
