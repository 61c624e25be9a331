"""Whatever bytes arrive, the answer is one of the API's, and the gateway itself is not hurt."""

import asyncio
from collections import Counter
from typing import Final

from gateway import schemas
from shared.tokens import Role
from tests.support.http.api import Api
from tests.support.http.hostile_requests import (
    KINDS,
    OVER,
    PLAIN_USER,
    RUN,
    TOKEN,
    Hostile,
    hostile_requests,
)
from tests.support.http.raw_requests import END_OF_HEAD, RawAnswer, exchange
from tools.support.rows import PASS, insert_run
from tools.support.system import System

ROUNDS: Final = 4
REQUESTS: Final = ROUNDS * len(KINDS)
AUTHORIZED: Final = b"Host: x\r\nAuthorization: Bearer " + TOKEN + b"\r\n"
CANCEL: Final = b"POST /api/v1/runs/1/cancel HTTP/1.1\r\n" + AUTHORIZED
GET: Final = b"GET /api/v1/runs/1 HTTP/1.1\r\n" + AUTHORIZED
PUT: Final = b"PUT /api/v1/runs/%d HTTP/1.1\r\n" + AUTHORIZED
NEW_RUN: Final = 4711
FILE: Final = b"GET /api/v1/docs/favicon-32x32.png HTTP/1.1\r\n" + AUTHORIZED

EXAMPLES: Final = (
    Hostile(CANCEL + b"Content-Length: 3\r\n\r\n{}", ending="close"),
    Hostile(CANCEL + b"Content-Length: 3\r\n\r\n{}", ending="reset"),
    Hostile(CANCEL + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"),
    Hostile(GET + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"),
    Hostile(CANCEL.replace(b"HTTP/1.1", b"HTTP/0.9") + b"\r\n"),
    Hostile(CANCEL.replace(b"HTTP/1.1", b"HTTP/2.0") + b"\r\n"),
    Hostile(FILE + b"Range: bytes=9999-\r\n\r\n"),
    Hostile(FILE + b'If-Match: "x"\r\n\r\n'),
    Hostile(CANCEL + b"Expect: 200-ok\r\n\r\n"),
    Hostile(CANCEL + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"),
    Hostile(CANCEL + b"Expect: 100-continue\r\n\r\n", ending="close"),
    Hostile(CANCEL + b"Expect: 100-continue\r\n\r\n", ending="reset"),
    Hostile((GET + b"\r\n") * 50),
    Hostile(PUT % NEW_RUN + b"\r\n"),
    Hostile(PUT % RUN + b'Content-Length: 20\r\n\r\n{"grace_seconds": 9 }'),
    Hostile(b"GET / HTTP/1.1\r\n" + AUTHORIZED + b"\r\n"),
)
"""Which must be among them."""

BAD: Final = ("error", "critical")
STATUSES: Final = {200, 201, 202, 302, 400, 401, 403, 404, 405, 408, 409, 413, 415, 417}


async def test_a_thousand_hostile_requests_are_answered_and_do_no_harm(system: System) -> None:
    await system.add_run(RUN)
    await insert_run(system.database, OVER, PASS)
    token, plain_user = await system.token(), await system.token(Role.USER)
    gateway = await system.program(
        *("gateway", "serve", "--port", "0"),
        CANCEL_ANONYMOUS_LIMIT="1000000",
        CANCEL_BODY_TIMEOUT="0.1",  # what a request whose body never ends has to wait for
    )
    url = (await gateway.event("gateway_ready"))["url"]
    seen: Counter[int] = Counter()
    silent: Counter[str] = Counter()

    def check(request: Hostile) -> None:
        sent = request.data.replace(TOKEN, token.encode()).replace(PLAIN_USER, plain_user.encode())
        answers = _exchange(int(url.rpartition(":")[2]), sent, request)
        for answer in answers:
            _assert_documented(answer, to_head=b"HEAD " in sent)
            seen[answer.status] += 1
        if not answers:
            silent[request.ending] += 1
            # Without the end of a head nothing was asked yet, and who went away is told nothing.
            assert request.ending != "wait" or END_OF_HEAD not in sent

    def check_all() -> None:
        for request in (*EXAMPLES, *hostile_requests(ROUNDS)):
            try:
                check(request)
            except BaseException as error:
                error.add_note(str(request))
                raise

    await asyncio.to_thread(check_all)

    # Neither one answer to everything, nor silence.
    assert set(seen) == STATUSES
    assert set(silent) == {"wait", "close", "reset"}
    assert seen.total() >= REQUESTS * 0.8
    assert max(seen.values()) <= REQUESTS * 0.5
    assert min(seen[200], seen[202]) >= REQUESTS * 0.03
    assert (await Api(url, system.http, token).cancel(RUN)).status == 202
    assert await gateway.stop() == 0
    assert gateway.output == []
    assert [it for it in gateway.events if it["level"] in BAD or "exception" in it] == []
    assert token not in gateway.log()
    assert plain_user not in gateway.log()


def _exchange(port: int, sent: bytes, request: Hostile) -> list[RawAnswer]:
    return exchange(port, sent, request.cut, request.ending)


def _assert_documented(answer: RawAnswer, *, to_head: bool) -> None:
    assert answer.status in STATUSES
    assert answer.headers["X-Request-Id"]
    if to_head and answer.body == b"":
        return
    if answer.status == 202:
        schemas.CancelAnswer.model_validate_json(answer.body)
    elif answer.status in (200, 201):
        if b'"result":' in answer.body:
            schemas.RunRegistered.model_validate_json(answer.body)
        elif b'"runs":' in answer.body:
            schemas.RunList.model_validate_json(answer.body)
        elif b"run_id" in answer.body:
            schemas.RunView.model_validate_json(answer.body)
    elif answer.status == 302:
        assert answer.headers["Location"] == f"{schemas.API}/docs"
    else:
        assert answer.error
