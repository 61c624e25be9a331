"""The frame of all pages, in a real browser."""

import pytest
from playwright.async_api import Page, expect

from tests.support.console.browser import accessibility_faults

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_operator_signs_in_and_out(signed_in: Page) -> None:
    await expect(signed_in.get_by_role("heading", name="Now", exact=True)).to_be_visible()
    await expect(signed_in.get_by_text("olga")).to_be_visible()

    await signed_in.get_by_role("button", name="Sign out").click()

    await expect(signed_in.get_by_role("heading", name="Sign in")).to_be_visible()
    await signed_in.goto("/")
    await expect(signed_in.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_link_from_another_site_needs_no_second_sign_in(
    signed_in: Page, console: str
) -> None:
    await signed_in.route(
        "http://alerts.example/",
        lambda route: route.fulfill(
            content_type="text/html", body=f'<a href="{console}/?from=alert">see</a>'
        ),
    )
    await signed_in.goto("http://alerts.example/")

    await signed_in.get_by_role("link", name="see").click()

    await signed_in.wait_for_url("**/?from=alert")
    await expect(signed_in.get_by_role("heading", name="Now", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_the_sign_in_page_is_accessible(page: Page, scheme: str, width: int) -> None:
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # a literal there
    await page.set_viewport_size({"width": width, "height": 800})
    await page.goto("/sign-in")

    assert not await accessibility_faults(page)
