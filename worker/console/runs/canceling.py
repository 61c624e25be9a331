"""Cancels a run for an operator, as `cancel-worker runs cancel` does."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import structlog
from pydantic import TypeAdapter, ValidationError

from shared.commands import Text
from shared.limits import MAX_TEXT
from shared.publishing import Publishing
from worker.console.runs.status import effect_of_cancel
from worker.runs import history
from worker.runs.cancel import CancelOptions, CancelStatus, cancel
from worker.runs.store import RunHistory

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CancelForm:
    reason: str
    force: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a cancel was not requested, or may not have been."""

    problem: str
    status: int


async def request_cancel(
    publishing: Publishing, found: RunHistory, form: CancelForm, by: str
) -> UUID | Refused:
    """The id of the command that was published."""
    run_id = found.run["run_id"]
    if effect_of_cancel(history.as_json(found)) is None:
        return Refused("There is nothing left to cancel. Nothing was requested.", 409)
    if not _is_text(form.reason):
        problem = f"The reason can have at most {MAX_TEXT} characters, and no NUL."
        return Refused(f"{problem} Nothing was requested.", 400)
    if not publishing.publisher.is_ready:
        # Otherwise, the operator would wait for a confirm, and not know whether it was published.
        why = publishing.publisher.problem or "RabbitMQ is not available"
        return Refused(f"{why}. Nothing was requested; try again later.", 503)
    options = CancelOptions(by, form.reason or None, form.force, wait=None)
    result = await cancel(publishing, [run_id], options, asyncio.Event(), _ignore, _ignore)
    (asked,) = result.cancels
    log.info(
        "console_cancel_requested",
        run_id=run_id,
        command_id=str(asked.command_id),
        requested_by=by,
        force=form.force,
        result=asked.status.value,
    )
    if asked.status is CancelStatus.REQUESTED and asked.command_id is not None:
        return asked.command_id
    if asked.status is CancelStatus.UNCONFIRMED:
        return Refused(f"{result.failed}: perhaps requested; it is safe to repeat.", 503)
    return Refused(f"{result.failed}. Nothing was requested.", 503)


def _is_text(reason: str) -> bool:
    try:
        TypeAdapter(Text).validate_python(reason)
    except ValidationError:
        return False
    return True


def _ignore(_: int) -> None:
    pass
