"""What protects pages in a browser: headers, the host name, the origin of a form."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from yarl import URL

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Server": "cancel-worker",  # the default names the versions of aiohttp and Python
    # Scripts, styles and connections of our own only, no inline ones, and no page within another.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Pages show what only operators may see.
    "Cache-Control": "no-store",
}

_POLICY: Final = "Content-Security-Policy"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


async def add_security_headers(_: web.Request, response: web.StreamResponse) -> None:
    """A signal handler: each response has them. Some have a policy of their own."""
    own = response.headers.get(_POLICY, SECURITY_HEADERS[_POLICY])
    response.headers.update({**SECURITY_HEADERS, _POLICY: own})


def check_host(bound: str, public: URL | None) -> Middleware:
    """Refuse requests for a host name that is not ours.

    Otherwise, a page of another site could reach a console on loopback, by a name of its own that
    resolves to it (DNS rebinding).
    """
    names = {bound, *_LOOPBACK} | ({public.host} if public is not None else set())

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            name = URL.build(scheme="http", authority=request.host).host
        except ValueError:
            name = None
        if name not in names:
            raise web.HTTPMisdirectedRequest(
                text="The console does not serve this host name; see CANCEL_CONSOLE_URL."
            )
        return await handler(request)

    return check


def is_same_origin(request: web.Request) -> bool:
    """Whether a form was sent by a page of ours, as far as the browser says.

    Source: Fetch standard, `Origin`, and Fetch Metadata, `Sec-Fetch-Site`.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    try:
        return origin is None or URL(origin).authority == request.host
    except ValueError:
        return False
