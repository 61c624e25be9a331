"""What another body of a dead letter asks for, or what is wrong with it."""

import json

import pytest

from shared.amqp.keys import CANCEL_KEY, QUEUED_KEY
from shared.commands import MAX_BODY, CancelCommand
from shared.errors import UserError
from worker.dead_letters.bodies.body_text import body_as_text
from worker.dead_letters.bodies.editing import edited
from worker.registering.message import QueuedRun

OLD = "0b6a4b0e-0d0c-4c5d-9b1e-3a5a5f1c2d3e"


def test_a_command_gets_a_new_id_which_is_in_its_body() -> None:
    made = edited(CANCEL_KEY, json.dumps({"command_id": OLD, "run_id": 17, "mine": "é"}))

    assert isinstance(made.asks, CancelCommand)
    assert (made.asks.run_id, made.asks.command_id) == (17, made.command_id)
    assert json.loads(made.body) == {"command_id": str(made.command_id), "run_id": 17, "mine": "é"}
    assert str(made.command_id) != OLD


def test_a_registration_stays_as_it_was_typed() -> None:
    made = edited(QUEUED_KEY, '{"run_id": 17 }')

    assert isinstance(made.asks, QueuedRun)
    assert (made.body, made.command_id) == (b'{"run_id": 17 }', None)


@pytest.mark.parametrize(
    ("key", "text", "why"),
    [
        (CANCEL_KEY, "{", "the edited body is not a cancel command: Invalid JSON"),
        (CANCEL_KEY, "[1]", "the edited body is not a cancel command: "),
        (CANCEL_KEY, '{"run_id": "x"}', "the edited body is not a cancel command: run_id: "),
        (CANCEL_KEY, "[" * 100_000, "the edited body has 100000 bytes; a message has at most"),
        (CANCEL_KEY, '{"a": "\ud800"', "the edited body is not valid UTF-8"),
        (QUEUED_KEY, "{}", "the edited body is not a registration: run_id: "),
        (QUEUED_KEY, f'{{"a": "{"x" * MAX_BODY}"}}', "the edited body has 65545 bytes; "),
    ],
    ids=["no JSON", "no object", "bad field", "too long", "no text", "no run", "long run"],
)
def test_what_is_wrong_is_said_in_one_line(key: str, text: str, why: str) -> None:
    with pytest.raises(UserError) as raised:
        edited(key, text)

    assert str(raised.value).startswith(why)
    assert "\n" not in str(raised.value)


def test_a_body_is_text_if_it_can_be_shown() -> None:
    head = "é".encode()[:1]

    assert body_as_text("a\tb\n é".encode()) == "a\tb\n é"
    assert body_as_text(b"a" + head) is None
    assert body_as_text(b"a" + head, is_cut=True) == "a"
    assert body_as_text(b"\x00") is None
