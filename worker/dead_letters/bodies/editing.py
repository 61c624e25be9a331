"""A dead letter with another body: what that would ask for, or what is wrong with it."""

import json
from dataclasses import dataclass
from uuid import UUID, uuid4

from asyncpg import Record
from pydantic import ValidationError

from shared.commands import MAX_BODY, CancelCommand
from shared.errors import UserError
from shared.registrations import QUEUED_TYPE
from worker.dead_letters.bodies.body_text import body_as_text
from worker.dead_letters.kinds import is_registration
from worker.messages.command_reader import read, reject_duplicates
from worker.messages.conversion import Undeliverable
from worker.messages.json_body import first_problem
from worker.registering.message import QueuedRun, read_registration


@dataclass(frozen=True, slots=True)
class Edited:
    """The new body, and what it asks for. A command has a new id, which is in the body."""

    body: bytes
    asks: CancelCommand | QueuedRun

    @property
    def command_id(self) -> UUID | None:
        return self.asks.command_id if isinstance(self.asks, CancelCommand) else None


def edited(routing_key: str, text: str, command_id: UUID | None = None) -> Edited:
    """`text` as the body of the letter that was first published with `routing_key`.

    A command gets `command_id`, or else a new one.
    Raises UserError with the first problem in one line, if it asks for nothing.
    """
    registers = is_registration(routing_key)
    try:
        body = (text if registers else _with_id(text, command_id or uuid4())).encode()
    except UnicodeEncodeError:
        raise UserError("the edited body is not valid UTF-8") from None
    if len(body) > MAX_BODY:
        raise UserError(f"the edited body has {len(body)} bytes; a message has at most {MAX_BODY}")
    if not registers:
        return _as_command(body)
    try:
        return Edited(body, read_registration(QUEUED_TYPE, body))
    except Undeliverable as error:
        raise UserError(f"the edited body is not a registration: {error}") from None


def editable(letter: Record) -> str:
    """The body of `letter` as text. Raises UserError if it is none."""
    text = body_as_text(letter["body"], is_cut=letter["full_size"] is not None)
    if text is None:
        raise UserError("the body is not text and cannot be edited")
    return text


def _as_command(body: bytes) -> Edited:
    try:
        return Edited(body, read(body).command)
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> UserError:
    return UserError(f"the edited body is not a cancel command: {first_problem(error)}")


def _with_id(text: str, command_id: UUID) -> str:
    try:
        said = json.loads(text)
        reject_duplicates(text.encode())  # of which only one would be left below
    except ValidationError as error:
        raise _refused(error) from None
    except (ValueError, RecursionError):  # the latter: nested too deeply
        return text
    return json.dumps({**said, "command_id": str(command_id)}) if isinstance(said, dict) else text
