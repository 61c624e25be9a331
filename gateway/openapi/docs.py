"""The OpenAPI document, and a self-contained page that shows it."""

import json
import re
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from aiohttp import web

from gateway.http.query import without_query
from gateway.openapi.document import document
from gateway.schemas import API

_ASSETS: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_PAGE: Final = """\
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Run cancellation</title>
    <link rel="icon" href="docs/favicon-32x32.png">
    <link rel="stylesheet" href="docs/swagger-ui.css">
  </head>
  <body>
    <div id="page"></div>
    <script src="docs/swagger-ui-bundle.js"></script>
    <script src="docs/page.js"></script>
  </body>
</html>
"""
# By default, the page asks a server on the Internet to validate the document.
_SCRIPT: Final = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  docExpansion: "full",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
"""
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
_PIECE: Final = 65536  # bytes
_CACHED: Final = {"Cache-Control": "public, max-age=3600"}


def add_docs(app: web.Application) -> None:
    """Add openapi.json, the page and its assets, and a redirect from `/`, all without a token."""
    described = json.dumps(document()).encode() + b"\n"
    # Kept in memory (2 MB): a FileResponse answers range and conditional requests without our
    # envelope.
    assets = {name: (_directory() / name).read_bytes() for name in _ASSETS}

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=described, content_type="application/json", headers=_CACHED)

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html", headers=_PAGE_HEADERS)

    async def root(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"{API}/docs"})

    async def script(_: web.Request) -> web.Response:
        return web.Response(text=_SCRIPT, content_type="text/javascript", headers=_CACHED)

    async def asset(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return web.Response(
            body=_in_pieces(assets[name]),
            content_type=_ASSETS[name],
            headers={**_CACHED, "Content-Length": str(len(assets[name]))},
        )

    app.router.add_get("/", root)
    names = "|".join(map(re.escape, assets))
    for path, handler in (
        ("openapi.json", openapi),
        ("docs", page),
        ("docs/page.js", script),
        (f"docs/{{name:{names}}}", asset),
    ):
        app.router.add_get(f"{API}/{path}", without_query(handler))


async def _in_pieces(content: bytes) -> AsyncIterator[memoryview]:
    # In one piece, it would be copied for every slow client.
    for start in range(0, len(content), _PIECE):
        yield memoryview(content)[start : start + _PIECE]


def _directory() -> Path:
    # Located but not imported: only its files are needed.
    spec = find_spec("swagger_ui")
    assert spec is not None  # noqa: S101 - a dependency of this package
    assert spec.submodule_search_locations is not None  # noqa: S101 - it is a package
    return Path(spec.submodule_search_locations[0], "static")
