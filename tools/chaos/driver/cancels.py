"""Cancels over REST, of one run or of many, by a client that tries again when it may."""

from collections.abc import Mapping
from itertools import count
from random import Random
from typing import Any
from uuid import uuid4

from tools.chaos.driver.attempts import repeated
from tools.chaos.driver.journal import Journal
from tools.chaos.driver.rest import Rest


class Cancels:
    def __init__(self, rest: Rest, journal: Journal) -> None:
        self._rest = rest
        self._journal = journal

    async def cancel(self, run_id: int, random: Random, *, force: bool = False) -> None:
        """Ask until it is answered with something else than 503.

        Each attempt has a request id of its own, which is its reason too: by that it is found.
        """
        attempts = count(1)

        async def once() -> bool | None:
            request_id = f"req-{uuid4().hex}"
            answer = await self._rest.ask(
                "POST",
                f"/runs/{run_id}/{'force-cancel' if force else 'cancel'}",
                {"reason": request_id},
                random,
                {"X-Request-Id": request_id},
            )
            self._journal.write(
                "request",
                request_id=request_id,
                run_id=run_id,
                force=force,
                attempt=next(attempts),
                url=answer.url,
                began=answer.began,
                status=answer.status,
                error=answer.error,
            )
            return answer.is_sure or None

        await repeated(once, random)

    async def cancel_many(self, asked: Mapping[str, Any], random: Random) -> None:
        """Ask until each result is sure. `asked` has `run_ids`, or `labels` with `before_run`.

        All attempts have one key, and so one command for each run. It is their reason too.
        """
        key = str(uuid4())
        attempts = count(1)

        async def once() -> bool | None:
            answer = await self._rest.ask(
                "POST",
                "/cancellations",
                {**asked, "reason": key},
                random,
                {"Idempotency-Key": key, "X-Request-Id": key},
            )
            is_told = answer.status == 202
            results = answer.body["results"] if is_told else []
            self._journal.write(
                "bulk",
                key=key,
                asked=asked,
                attempt=next(attempts),
                url=answer.url,
                began=answer.began,
                status=answer.status,
                results=results,
                matched=answer.body["matched"] if is_told else None,
                error=answer.error,
            )
            is_sure = answer.is_sure and all(it["status"] != "unavailable" for it in results)
            return is_sure or None

        await repeated(once, random)
