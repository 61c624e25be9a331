"""What the middlewares leave with a request, and what all handlers share."""

from typing import Final

from aiohttp import web

from worker.console.web.sessions import Session

SESSION: Final = web.RequestKey("session", Session)


def session_of(request: web.Request) -> Session:
    """The session of a request to a page for which one must be signed in."""
    session: Session = request[SESSION]
    return session
