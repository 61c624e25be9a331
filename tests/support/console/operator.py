"""An operator without a browser: what a page says, and what its forms do."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, TypeAlias

import aiohttp
from yarl import URL

from shared.tokens import Role
from tools.support.program import Program
from tools.support.system import System

Form: TypeAlias = dict[str, str] | list[tuple[str, str]]


_BLOCKS = frozenset({"caption", "dd", "dt", "h1", "h2", "li", "p", "pre", "td", "th", "time"})


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in _BLOCKS:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "dt", "dd", "li"):
            self.parts.append(" ")


@dataclass(frozen=True, slots=True)
class Page:
    status: int
    html: str
    headers: Any = field(repr=False)

    @property
    def text(self) -> str:
        """What one reads, with single spaces."""
        parser = _Text()
        parser.feed(self.html)
        return " ".join("".join(parser.parts).split())

    @property
    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.html)
        assert found is not None, self.text
        return found[1]


class Operator:
    """Has a cookie jar of its own. Redirects are not followed."""

    def __init__(self, url: str) -> None:
        self.url = URL(url)
        self._http = aiohttp.ClientSession(
            self.url, cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=aiohttp.ClientTimeout(30)
        )

    async def close(self) -> None:
        await self._http.close()

    async def get(self, path: str, **headers: str) -> Page:
        return await self._send("GET", path, headers)

    async def post(self, path: str, form: Form | None = None, **headers: str) -> Page:
        """Send a form as it is."""
        return await self._send("POST", path, headers, data=form or {})

    async def submit(self, path: str, **form: str) -> Page:
        """Send a form of one of the console's pages."""
        return await self.post(path, {"csrf": (await self.get("/")).csrf, **form})

    async def sign_in(self, token: str, to: str = "/") -> Page:
        return await self.post("/sign-in", {"token": token, "next": to})

    def stream(self, path: str) -> Any:
        return self._http.get(path, headers={"Accept": "text/event-stream"})

    async def _send(self, method: str, path: str, headers: dict[str, str], **options: Any) -> Page:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._http.request(
            method, path, headers=sent, allow_redirects=False, **options
        ) as response:
            return Page(response.status, await response.text(), response.headers)


async def start_console(system: System, **settings: str) -> tuple[Program, str]:
    """Start a console on a free port; the program and its URL."""
    program = await system.program("worker", "console", "--port", "0", **settings)
    return program, str((await program.event("console_ready"))["url"])


async def signed_in(system: System, url: str, subject: str = "olga") -> Operator:
    operator = Operator(url)
    token = await system.token(role=Role.ADMIN, subject=subject)
    assert (await operator.sign_in(token)).status == 303
    return operator
