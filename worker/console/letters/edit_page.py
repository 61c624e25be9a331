"""/dead-letters/ID/edit: another body for a letter, checked as it is typed, and then replayed."""

from typing import Any
from uuid import UUID

from aiohttp import web
from asyncpg import Record

from shared.amqp.publisher import Publisher
from shared.commands import CancelCommand
from shared.errors import UserError
from shared.postgres.database import Database
from worker.console.letters.diff import changes
from worker.console.letters.letter_page import letter_id_of, no_letter
from worker.console.letters.list_page import PATH
from worker.console.letters.works import Works
from worker.console.web.rendering import page
from worker.console.web.request_keys import session_of
from worker.dead_letters import store as letter_store
from worker.dead_letters.bodies.editing import Edited, editable, edited
from worker.dead_letters.replays.replaying import why_not_edited
from worker.dead_letters.wanted import LetterState
from worker.runs.store import find_run


class EditPage:
    def __init__(self, database: Database, publisher: Publisher, works: Works) -> None:
        self._database = database
        self._publisher = publisher
        self._works = works

    async def show(self, request: web.Request) -> web.Response:
        """GET: the body to be edited."""
        letter, _ = await self._letter(request)
        problem = _why_not(letter)
        text = ""
        try:
            text = editable(letter)
        except UserError as error:
            problem = f"{str(error).capitalize()}."
        return _page(request, letter, text, problem=problem)

    async def check(self, request: web.Request) -> web.Response:
        """POST …/check: what a text would ask for, or the first thing that is wrong with it."""
        letter, _ = await self._letter(request)
        try:
            other = edited(letter["routing_key"], _text(await request.post()))
        except UserError as error:
            return web.json_response({"problem": f"{error}."})
        return web.json_response({"asks": await self._asks(other)})

    async def save(self, request: web.Request) -> web.StreamResponse:
        """POST: with `step=send` replay the edited letter; before that, show what would change."""
        letter, actions = await self._letter(request)
        form = await request.post()
        text, is_sure = _text(form), form.get("step") == "send"
        forced = form.get("force") == "1"

        def refused(problem: str) -> web.Response:
            # The form is for the letter as it is now: to send it again is a new decision.
            return _page(request, letter, text, problem=problem, forced=forced)

        if form.get("seen") != _seen(letter):
            return refused(_meanwhile(letter, actions))
        if (why := _why_not(letter)) is not None and not forced:
            return refused(why)
        try:
            # What was reviewed is sent, and who sends the form twice sends one command.
            other = edited(letter["routing_key"], text, _command_id(form) if is_sure else None)
        except UserError as error:
            return refused(f"{error}.")
        if not is_sure:
            return await self._review(request, letter, text, other, forced=forced)
        if not self._publisher.is_ready:
            lacks = self._publisher.problem or "there is no connection"
            return refused(f"Nothing was sent: RabbitMQ is unavailable ({lacks}).")
        try:
            work = self._works.edit(letter, other, session_of(request).subject)
        except UserError as error:
            return refused(f"{error}.")
        raise web.HTTPSeeOther(f"{PATH}/work/{work.work_id}")

    async def _review(
        self,
        request: web.Request,
        letter: Record,
        text: str,
        other: Edited,
        *,
        forced: bool,
    ) -> web.Response:
        before = letter["body"].decode(errors="backslashreplace")
        values = {
            "letter": letter,
            "text": text,
            "seen": _seen(letter),
            "forced": forced,
            "command_id": other.command_id,
            "asks": await self._asks(other),
            "lines": changes(before, other.body.decode()),
        }
        return page("letter_review.html", request, values)

    async def _letter(self, request: web.Request) -> tuple[Record, list[Record]]:
        letter_id = letter_id_of(request)
        found = await letter_store.find_one(self._database, letter_id)
        if found is None:
            raise no_letter(letter_id)
        return found

    async def _asks(self, other: Edited) -> str:
        """What the edited body asks for, in one line."""
        asks = other.asks
        found = await find_run(self._database, asks.run_id)
        is_known = "which is not on record" if found is None else f"which is {found.run['status']}"
        if not isinstance(asks, CancelCommand):
            return f"registers run {asks.run_id}" + ("" if found is None else f", {is_known}")
        said = [f"cancels run {asks.run_id}, {is_known}"]
        if asks.force:
            said.append("without a grace period")
        elif asks.grace_seconds is not None:
            said.append(f"with a grace period of {asks.grace_seconds:g} s")
        if asks.requested_by:
            said.append(f"requested by {asks.requested_by}")
        if asks.reason:
            said.append(f"because: {asks.reason}")
        return "; ".join(said)


def _page(
    request: web.Request,
    letter: Record,
    text: str,
    *,
    problem: str | None = None,
    forced: bool = False,
) -> web.Response:
    is_refused = _why_not(letter) is not None
    values = {
        "letter": letter,
        "text": text,
        "seen": _seen(letter),
        "problem": problem,
        "forced": forced,
        "needs_force": is_refused,
    }
    is_post = request.method == "POST"
    return page("letter_edit.html", request, values, status=400 if problem and is_post else 200)


def _text(form: Any) -> str:
    """The edited text. Browsers send the ends of lines as CR and LF."""
    text = form.get("body")
    return text.replace("\r\n", "\n") if isinstance(text, str) else ""


def _command_id(form: Any) -> UUID | None:
    """The id that the review has shown."""
    try:
        return UUID(form.get("command_id", ""))
    except (ValueError, AttributeError):  # the latter: a file
        return None


def _seen(letter: Record) -> str:
    """What a form was made for."""
    return f"{letter['state']}.{letter['replays']}"


def _why_not(letter: Record) -> str | None:
    why = why_not_edited(letter, force=False)
    return None if why is None else f"Letter {letter['letter_id']} was {why}."


def _meanwhile(letter: Record, actions: list[Record]) -> str:
    what = "was changed"
    if actions and letter["state"] != LetterState.WAITING:
        last = actions[-1]
        what = f"was {last['action']} by {last['done_by']}"
    return (
        f"Nothing was sent: letter {letter['letter_id']} {what} while you were editing it. "
        "Your text is kept; to send it all the same, go on."
    )
