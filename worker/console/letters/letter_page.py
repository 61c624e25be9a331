"""GET /dead-letters/ID: everything about a letter; and its body as a file."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiohttp import web
from asyncpg import Record

from shared.limits import BIGINT_MAX
from shared.postgres.database import Database
from shared.postgres.rows import plain
from shared.postgres.sql.dead_letters import UNKNOWN_PUBLISHER
from worker.console.letters.shown_body import shown_body
from worker.console.web.rendering import page
from worker.dead_letters import store as letter_store
from worker.dead_letters.advice import Steps, advised, advised_without_run
from worker.dead_letters.kinds import kind_of
from worker.dead_letters.wanted import LetterState
from worker.runs import history
from worker.runs.store import find_run

STEPS: Final = Steps(
    look="look at its body and headers first",
    replay="replay it",
    correct="edit and replay it",
    discard="discard it",
    abandon="abandon its host again",
)
_PROPERTIES: Final = {
    "message_id": "Message id",
    "correlation_id": "Correlation id",
    "type": "Type",
    "app_id": "App id",
    "content_type": "Content type",
    "content_encoding": "Content encoding",
    "reply_to": "Reply to",
}
# Whatever the bytes are, a browser stores them and runs nothing.
_DOWNLOAD: Final = {
    "Content-Type": "application/octet-stream",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


class LetterPage:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def handle(self, request: web.Request) -> web.Response:
        letter_id = letter_id_of(request)
        found = await letter_store.find_whole(self._database, letter_id)
        if found is None:
            raise no_letter(letter_id)
        letter, actions, replays = found
        run = None if letter["run_id"] is None else await find_run(self._database, letter["run_id"])
        as_run = None if run is None else history.as_json(run)
        is_cut = letter["full_size"] is not None
        values = {
            "letter": letter,
            "kind": kind_of(letter["routing_key"]),
            "publisher": letter["publisher"] or UNKNOWN_PUBLISHER,
            "run": as_run,
            "advice": _advice(letter, as_run),
            "actions": [(action, _edited(action)) for action in actions],
            "replays": replays,
            "properties": [(text, letter[key]) for key, text in _PROPERTIES.items() if letter[key]],
            "headers": list(_headers(letter)),
            "body": shown_body(
                letter["body"], is_cut=is_cut, as_bytes=request.query.get("as") == "bytes"
            ),
        }
        return page("letter.html", request, values)

    async def download(self, request: web.Request) -> web.Response:
        """GET /dead-letters/ID/body"""
        letter_id = letter_id_of(request)
        found = await letter_store.find_one(self._database, letter_id)
        if found is None:
            raise no_letter(letter_id)
        disposition = f'attachment; filename="dead-letter-{letter_id}.bin"'
        headers = {**_DOWNLOAD, "Content-Disposition": disposition}
        return web.Response(body=found[0]["body"], headers=headers)


def letter_id_of(request: web.Request) -> int:
    letter_id = int(request.match_info["id"][:20])
    if letter_id > BIGINT_MAX:
        raise web.HTTPNotFound(text="No dead letter has such a large number.")
    return letter_id


def no_letter(letter_id: int) -> web.HTTPException:
    return web.HTTPNotFound(text=f"Dead letter {letter_id} is not on record.")


def _advice(letter: Record, run: Mapping[str, Any] | None) -> str | None:
    if letter["state"] != LetterState.WAITING:
        return None
    described = plain(letter)
    if run is None:
        return advised_without_run(described, STEPS)
    return advised(described, run, STEPS)


def _edited(action: Record) -> str | None:
    """The body that was sent instead, as text."""
    body = action["body"]
    return None if body is None else body.decode(errors="backslashreplace")


def _headers(letter: Record) -> Iterator[tuple[str, str]]:
    for name, value in json.loads(letter["headers"]).items():
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
