"""Signing in with a token of role admin, and signing out."""

from contextlib import suppress
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from asyncpg import PostgresError, Record
from yarl import URL

from shared.errors import ServiceUnavailable
from shared.postgres import sql
from shared.postgres.database import Database
from shared.tokens import Role, token_hash
from worker.console.web.rendering import page
from worker.console.web.request_keys import SESSION
from worker.console.web.security import is_same_origin
from worker.console.web.sessions import LIFETIME, Session, Sessions

log = structlog.get_logger(__name__)

SIGN_IN: Final = "/sign-in"
SIGN_OUT: Final = "/sign-out"
STATIC: Final = "/static/"
_COOKIE: Final = "run_cancel_console"
_WITHOUT_SESSION: Final = frozenset({SIGN_IN, "/healthz", "/readyz"})
_OPEN: Final = frozenset({"/runbook"})
"""Pages that are shown without a session, too: nothing of them is secret, and they are needed when
Postgres, which knows the tokens, is unavailable."""


class SignIn:
    def __init__(self, database: Database, sessions: Sessions, *, over_tls: bool) -> None:
        """`over_tls`: whether browsers reach the console only over TLS."""
        self._database = database
        self._sessions = sessions
        self._over_tls = over_tls

    def middleware(self) -> Middleware:
        """Serve only who is signed in, and accept only forms of our own pages."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path in _WITHOUT_SESSION or request.path.startswith(STATIC):
                return await handler(request)
            if request.path in _OPEN:
                with suppress(ServiceUnavailable, PostgresError):
                    if session := await self._session(request):
                        request[SESSION] = session
                return await handler(request)
            session = await self._session(request)
            if session is None:
                raise _sign_in_first(request)
            request[SESSION] = session
            if request.method not in ("GET", "HEAD"):
                await _check_form(request, session)
            return await handler(request)

        return check

    async def show(self, request: web.Request) -> web.Response:
        """GET /sign-in"""
        # A browser sends no SameSite=Strict cookie when it follows a link of another site, such as
        # one in an alert. So the script of this page asks once more, as a page of our own.
        return page("sign_in.html", request, {"next": _local(request.query.get("next"))})

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """POST /sign-in"""
        if not is_same_origin(request):
            raise web.HTTPForbidden(text="The form was sent by another site.")
        form = await request.post()
        token, to = form.get("token"), _local(form.get("next"))
        admin, problem = await self._admin(token.strip() if isinstance(token, str) else "")
        if admin is None:
            return page("sign_in.html", request, {"next": to, "problem": problem}, status=403)
        # Before the session begins: nobody gets in who is not on record.
        await self._database.fetch(sql.audit.ADD, admin["subject"], "signed_in", "console", "{}")
        secret = self._sessions.begin(admin["token_id"], admin["subject"])
        log.info("console_signed_in", subject=admin["subject"])
        response = web.HTTPSeeOther(to)
        response.set_cookie(
            _COOKIE,
            secret,
            max_age=int(LIFETIME),
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self._over_tls,
        )
        raise response

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """POST /sign-out"""
        self._sessions.end(request.cookies[_COOKIE])
        response = web.HTTPSeeOther(SIGN_IN)
        response.del_cookie(_COOKIE, path="/")
        raise response

    async def signed_in(self, _: web.Request) -> web.Response:
        """GET /signed-in: 204 if so; if not, the middleware has redirected."""
        return web.Response(status=204)

    async def _session(self, request: web.Request) -> Session | None:
        """The session, if its token is still valid."""
        secret = request.cookies.get(_COOKIE)
        session = None if secret is None else self._sessions.find(secret)
        if secret is None or session is None:
            return None
        found = await self._database.fetchrow(
            sql.console.IS_TOKEN_VALID, session.token_id, Role.ADMIN
        )
        if found is None or not found["valid"]:
            self._sessions.end(secret)
            return None
        return session

    async def _admin(self, token: str) -> tuple[Record | None, str]:
        """The token on record, or why it is refused."""
        # Failed attempts are not limited: 256 random bits cannot be guessed, and behind a proxy all
        # operators have one address, so a limit would let anyone lock them out.
        found = await self._database.fetchrow(sql.console.FIND_TOKEN, token_hash(token))
        if found is not None and found["role"] == Role.ADMIN:
            return found, ""
        if found is None:
            log.warning("console_sign_in_refused", subject=None, reason="unknown token")
            return None, "The token is invalid, expired or revoked."
        log.warning("console_sign_in_refused", subject=found["subject"], reason="role")
        return None, f"The token has the role {found['role']}; the console needs {Role.ADMIN}."


async def _check_form(request: web.Request, session: Session) -> None:
    if not is_same_origin(request):
        raise web.HTTPForbidden(text="The form was sent by another site.")
    given = (await request.post()).get("csrf")
    if given != session.csrf:
        raise web.HTTPForbidden(text="The form is outdated. Go back, reload the page, try again.")


def _sign_in_first(request: web.Request) -> web.HTTPException:
    is_stream = "text/event-stream" in request.headers.get("Accept", "")
    if request.method != "GET" or is_stream:
        return web.HTTPUnauthorized(
            text="Nothing was done: sign in first.", headers={"WWW-Authenticate": "Cookie"}
        )
    return web.HTTPSeeOther(URL(SIGN_IN).with_query({"next": request.path_qs}))


def _local(path: object) -> str:
    """`path` if it is one of the console, or else the first page."""
    try:
        # Read as browsers do, which drop tabs and line ends: they may hide another site.
        url = URL(path) if isinstance(path, str) else URL("/")
    except ValueError:
        return "/"
    return str(url) if not url.absolute and url.raw_path.startswith("/") else "/"
