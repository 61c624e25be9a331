"""The gateway's API as a caller sees it."""

from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: Any

    @property
    def error(self) -> tuple[int, str]:
        """Status and code, having checked that the error has the envelope that all have."""
        assert set(self.body) == {"code", "message", "details"}, self.body
        assert isinstance(self.body["details"], dict)
        assert 1 <= len(self.body["message"]) <= 500
        return self.status, self.body["code"]


@dataclass(frozen=True, slots=True)
class Api:
    url: str
    http: aiohttp.ClientSession
    token: str

    async def cancel(self, run: object, body: Any = None, **options: Any) -> Answer:
        """POST …/runs/RUN/cancel with a JSON body; `run` goes into the path as it is."""
        if body is not None:
            options["json"] = body
        return await self.ask("POST", f"/api/v1/runs/{run}/cancel", **options)

    async def send(self, run: object, body: bytes, content_type: str | None) -> Answer:
        """POST …/runs/RUN/cancel with exactly these bytes."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if content_type is not None:
            headers["Content-Type"] = content_type
        return await self.ask(
            "POST",
            f"/api/v1/runs/{run}/cancel",
            headers=headers,
            data=body,
            skip_auto_headers={"Content-Type"},
        )

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        options.setdefault("headers", {"Authorization": f"Bearer {self.token}"})
        url = URL(self.url + path, encoded=True)
        async with self.http.request(method, url, **options) as response:
            text = await response.text()
            return Answer(
                response.status,
                response.headers,
                await response.json() if text else None,
            )
