"""Whatever is in a body: it is a registration or it is refused; reading it ends in no other way."""

import json
from itertools import product
from typing import Any

import pytest
from pydantic import ValidationError

from shared.limits import BIGINT_MAX
from shared.registrations import QUEUED_TYPE
from shared.states import DeadReason
from worker.messages.conversion import Undeliverable
from worker.registering.message import read, read_registration

# Around the depth at which Python's readers run out of stack, each a little earlier or later.
DEPTHS = range(850, 1101)


def _problem(body: bytes | str, kind: str | None = QUEUED_TYPE) -> tuple[DeadReason, str]:
    with pytest.raises(Undeliverable) as refused:
        read_registration(kind, body.encode() if isinstance(body, str) else body)
    return refused.value.reason, str(refused.value)


@pytest.mark.parametrize("place", ['"x": {}', '"labels": {}', '"\\u0075rl": {}'])
def test_a_body_of_any_depth_is_a_registration_or_is_refused(place: str) -> None:
    for depth, innermost in product(DEPTHS, ("[]", "{}", '{"a": 1, "a": 2}')):
        nested = "[" * depth + innermost + "]" * depth
        try:
            run = read(f'{{"run_id": 1, {place.format(nested)}}}'.encode())
        except ValidationError:
            continue
        assert run.run_id == 1


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"run_id": None}, "run_id"),
        ({"run_id": "1"}, "run_id"),
        ({"run_id": 1.0}, "run_id"),
        ({"run_id": True}, "run_id"),
        ({"run_id": 0}, "run_id"),
        ({"run_id": BIGINT_MAX + 1}, "run_id"),
        ({"run_id": 10**400}, "run_id"),
        ({"grace_seconds": 600.5}, "grace_seconds"),
        ({"grace_seconds": float("nan")}, "grace_seconds"),
        ({"stop_signal": "SIGKILL"}, "stop_signal"),
        ({"stop_signal": 15}, "stop_signal"),
        ({"stop_signal": None}, "stop_signal"),
        ({"stop_scope": "all"}, "stop_scope"),
        ({"labels": None}, "labels"),
        ({"labels": ["a"]}, "labels"),
        ({"labels": {"a": 1}}, "labels.a"),
        ({"labels": {"a:b": "1"}}, "labels.a:b"),
        ({"labels": {"": "1"}}, "labels."),
        ({"labels": {"a": "\0"}}, "labels.a"),
        ({"labels": {"k" * 64: "1"}}, "labels."),
        ({"labels": {"k": "v" * 256}}, "labels.k"),
        ({"labels": {str(n): "" for n in range(17)}}, "labels"),
        ({"url": "ftp://ci.example/1"}, "url"),
        ({"url": "https://ci.example/a b"}, "url"),
        ({"url": "https://" + "x" * 2048}, "url"),
        ({"start_before": "2026-01-02T03:04:05"}, "start_before"),
        ({"start_before": 1767323045}, "start_before"),
        ({"start_before": "soon"}, "start_before"),
    ],
    ids=lambda it: json.dumps(it)[:40],
)
def test_an_invalid_field_is_named(fields: dict[str, Any], where: str) -> None:
    reason, error = _problem(json.dumps({"run_id": 1, **fields}))

    assert reason is DeadReason.MALFORMED
    assert error.startswith(where)


@pytest.mark.parametrize("again", ['"run_id": 2', '"run\\u005fid": 2', '"run_id": 1'])
def test_a_field_that_appears_twice_is_refused(again: str) -> None:
    body = f'{{"run_id": 1, {again}}}'

    assert _problem(body) == (DeadReason.MALFORMED, "run_id: Field appears twice")


def test_the_name_of_a_field_may_be_that_of_a_label_too() -> None:
    body = {"run_id": 1, "url": "https://ci.example/1", "labels": {"url": "x"}}

    assert read(json.dumps(body).encode()).labels == {"url": "x"}


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"null", b"[]", b"{}", b'{"run_id": 1', b'{"labels": {"a": "\\ud800"}}']
)
def test_what_is_no_registration_is_refused(body: bytes) -> None:
    reason, error = _problem(body)

    assert reason is DeadReason.MALFORMED
    assert error


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (None, DeadReason.UNKNOWN_TYPE),
        ("", DeadReason.UNKNOWN_TYPE),
        ("ci.run.cancel.v1", DeadReason.UNKNOWN_TYPE),
        ("ci.run.queued", DeadReason.UNKNOWN_TYPE),
        ("ci.run.queued.v2", DeadReason.UNKNOWN_VERSION),
    ],
)
def test_another_type_is_refused(kind: str | None, reason: DeadReason) -> None:
    found, error = _problem('{"run_id": 1}', kind)

    assert found is reason
    assert error == f"type is {kind!r}, expected 'ci.run.queued.v1'"


def test_a_head_is_never_read_as_the_whole() -> None:
    with pytest.raises(Undeliverable, match="the body has 70000 bytes; a registration has at most"):
        read_registration(QUEUED_TYPE, b'{"run_id": 1}', 70_000)
