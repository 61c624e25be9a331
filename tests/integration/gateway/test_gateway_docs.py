"""The page for people: whole, without a token and without a network."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import ClientResponse
from yarl import URL

from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPES = {
    "css": {"text/css"},
    "js": {"text/javascript", "application/javascript"},  # which, depends on the Python version
    "png": {"image/png"},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page_url(system: System) -> URL:
    return URL(await system.gateway()) / "api/v1/docs"


async def _get(system: System, url: URL) -> tuple[ClientResponse, str]:
    async with system.http.get(url) as response:
        return response, await response.text(errors="replace")


async def test_all_that_the_page_needs_comes_from_the_gateway(
    system: System, page_url: URL
) -> None:
    response, page = await _get(system, page_url)
    assert (response.status, response.content_type) == (200, "text/html")
    linked = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(linked) == 4

    for link in linked:
        asset, content = await _get(system, page_url.join(URL(link)))
        assert asset.url.origin() == page_url.origin()
        assert asset.status == 200
        assert asset.content_type in TYPES[link.rpartition(".")[2]]
        assert len(content) > 50


async def test_the_root_leads_to_the_page(system: System, page_url: URL) -> None:
    response, _ = await _get(system, page_url.origin() / "")

    assert (response.status, response.url) == (200, page_url)


@pytest.mark.parametrize(
    "path", ["healthz", "readyz", "nowhere", "api/v1/runs/1", "api/v1/openapi.json"]
)
async def test_a_body_ends_with_a_newline(system: System, page_url: URL, path: str) -> None:
    response, body = await _get(system, page_url.origin() / path)

    assert response.content_type == "application/json"
    assert body.endswith("}\n")


async def test_the_page_shows_the_document_of_this_gateway(system: System, page_url: URL) -> None:
    _, script = await _get(system, page_url / "page.js")
    (link,) = re.findall(r'url: "([^"]+)"', script)

    response, _ = await _get(system, page_url.join(URL(link)))

    assert (await response.json())["openapi"] == "3.1.0"


async def test_a_browser_is_told_to_load_nothing_from_elsewhere(
    system: System, page_url: URL
) -> None:
    response, page = await _get(system, page_url)

    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; connect-src 'self'; ")
    assert "http" not in policy
    assert "<script>" not in page  # the policy would not let it run


@pytest.mark.parametrize(
    "name", ["swagger-ui.js", "LICENSE", "..%2f__init__.py", "%2e%2e%2f%2e%2e%2fetc%2fpasswd"]
)
async def test_nothing_else_of_the_package_is_served(
    system: System, page_url: URL, name: str
) -> None:
    response, body = await _get(system, URL(f"{page_url}/{name}", encoded=True))

    assert response.status == 404
    assert '"code":"not_found"' in body


async def test_the_package_that_has_the_assets_is_not_imported() -> None:
    script = "import sys, gateway.cli; sys.exit('swagger_ui' in sys.modules)"

    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)

    assert await process.wait() == 0
