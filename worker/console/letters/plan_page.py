"""/dead-letters/replay and /dead-letters/discard: first what would happen, then the work begins."""

from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from shared.amqp.publisher import Publisher
from shared.errors import UserError
from shared.postgres.database import Database
from worker.console.letters.filters import Asked, asked
from worker.console.letters.list_page import PATH
from worker.console.letters.works import Kind, Works
from worker.console.web.query import Query
from worker.console.web.rendering import page
from worker.console.web.request_keys import session_of
from worker.dead_letters import store as letter_store
from worker.dead_letters.discarding import MAX_NOTE, checked_note
from worker.dead_letters.kinds import kind_of
from worker.dead_letters.replays.planning import MAX_REPLAYS, Plan, Planned, plan
from worker.dead_letters.replays.replay import Options
from worker.dead_letters.selection import Chosen, as_filter
from worker.dead_letters.wanted import LetterState

_SHOWN: Final = 50
_MOST_RATE: Final = 100_000.0


@dataclass(frozen=True, slots=True)
class Discards:
    """How many letters a discard would mark, and how many of the chosen ones are not waiting."""

    waiting: int
    others: int


class PlanPage:
    """One of the two pages. `kind` says which."""

    def __init__(self, database: Database, publisher: Publisher, works: Works, kind: Kind) -> None:
        self._database = database
        self._publisher = publisher
        self._works = works
        self._kind = kind

    async def show(self, request: web.Request) -> web.Response:
        """GET: what would happen."""
        chosen = await self._frozen(asked(request.query))
        is_forced = "force" in request.query
        return await self._page(request, chosen, is_forced, [])

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """POST: begin, and lead to the page that shows how far it is."""
        form = await request.post()
        chosen, query = asked(form), Query(form)
        is_forced = "force" in form
        by = session_of(request).subject
        rate = query.parsed("rate", _rate)
        note = query.parsed("note", _note)
        problems = [*self._wrong(chosen), *query.problems]
        if self._kind is Kind.REPLAY and not self._publisher.is_ready:
            why = self._publisher.problem or "there is no connection"
            problems.append(f"Nothing was sent: RabbitMQ is unavailable ({why}).")
        if not problems:
            try:
                if self._kind is Kind.REPLAY:
                    options = Options(by, rate, force=is_forced)
                    work = self._works.replay(chosen.chosen, options)
                else:
                    work = self._works.discard(chosen.chosen, by, note)
                raise web.HTTPSeeOther(f"{PATH}/work/{work.work_id}")
            except UserError as error:
                problems.append(f"Nothing was done: {error}.")
        kept = {"rate": query.text("rate") or "", "note": query.text("note") or ""}
        return await self._page(request, chosen, is_forced, problems, kept)

    async def _frozen(self, chosen: Asked) -> Asked:
        """What is stored from now on is left out: it is not what the operator sees."""
        if chosen.ids or chosen.wanted.up_to is not None:
            return chosen
        up_to = await letter_store.latest(self._database)
        return replace(chosen, wanted=replace(chosen.wanted, up_to=up_to or None))

    async def _page(
        self,
        request: web.Request,
        chosen: Asked,
        is_forced: bool,
        problems: list[str],
        kept: dict[str, str] | None = None,
    ) -> web.Response:
        wrong = self._wrong(chosen)
        values = {
            "kind": self._kind,
            "problems": [*dict.fromkeys([*wrong, *problems])],
            "asked": chosen,
            "is_forced": is_forced,
            "kept": kept or {"rate": "", "note": ""},
            "max_replays": MAX_REPLAYS,
            "max_note": MAX_NOTE,
            "plan": None,
            "discards": None,
        }
        if not wrong:
            planned = await plan(self._database, chosen.chosen, force=is_forced, limit=_SHOWN)
            values |= {
                "plan": planned,
                "letters": [
                    (letter, kind_of(letter["routing_key"]), what)
                    for letter, what in planned.letters
                ],
                "Planned": Planned,
            }
            if self._kind is Kind.DISCARD:
                values["discards"] = await self._discards(chosen.chosen, planned)
        return page("letters_plan.html", request, values, status=400 if values["problems"] else 200)

    def _wrong(self, chosen: Asked) -> list[str]:
        """Why nothing can be planned."""
        wrong = [*chosen.problems]
        if not (chosen.ids or chosen.is_all or wrong):
            wrong.append("No letter is marked: go back, and mark some.")
        if self._kind is Kind.DISCARD and chosen.wanted.state not in (None, LetterState.WAITING):
            wrong.append("Only waiting letters can be discarded.")
        return wrong

    async def _discards(self, chosen: Chosen, planned: Plan) -> Discards:
        waiting = replace(as_filter(chosen), state=LetterState.WAITING)
        number = await letter_store.total(self._database, waiting)
        return Discards(number, sum(planned.counts.values()) - number)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0
    if not 0.01 <= rate <= _MOST_RATE:
        raise ValueError(f"{text!r} is no number of letters per second from 0.01 to 100,000")
    return rate


def _note(text: str) -> str | None:
    try:
        return checked_note(text)
    except UserError as error:
        raise ValueError(str(error)) from None
