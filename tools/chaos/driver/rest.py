"""Requests to the gateways, any of them, as a client sends them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import aiohttp

_ANSWER_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    url: str
    began: float
    status: int | None
    """None where no answer came."""
    body: Any
    error: str | None

    @property
    def is_sure(self) -> bool:
        """Whether it says what became of the request."""
        return self.status not in (None, 503)


class Rest:
    def __init__(self, http: aiohttp.ClientSession, urls: Sequence[str], token: str) -> None:
        self._http = http
        self._urls = urls
        self._headers = {"Authorization": f"Bearer {token}"}

    async def ask(
        self,
        method: str,
        path: str,
        body: object,
        random: Random,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Once. `path` is below /api/v1."""
        url = random.choice(self._urls)
        began = datetime.now(UTC).timestamp()
        status, said, error = None, None, None
        try:
            async with self._http.request(
                method,
                f"{url}/api/v1{path}",
                json=body,
                headers={**self._headers, **(headers or {})},
                timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS),
            ) as response:
                said = await response.json()
                status = response.status
                if status >= 400:
                    error = str(said)[:200]
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            error = f"{type(problem).__name__}: {problem}"
        return Answer(url, began, status, said, error)
