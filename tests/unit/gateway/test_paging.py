"""A cursor continues the list that it is from, and no other."""

import re

import pytest
from aiohttp.test_utils import make_mocked_request
from yarl import URL

from gateway.http.paging import BAD_CURSOR, BAD_LIMIT, Page, next_page, page_of
from shared.limits import BIGINT_MAX

RUNS = "/api/v1/runs"


def _page(url: str) -> tuple[Page, dict[str, str]]:
    problems: dict[str, str] = {}
    return page_of(make_mocked_request("GET", url), problems), problems


def _next(url: str, last: int) -> str:
    link = re.fullmatch(
        r'<(\S+)>; rel="next"', next_page(make_mocked_request("GET", url), last)["Link"]
    )
    assert link is not None
    return link[1]


@pytest.mark.parametrize("last", [1, 4711, 2**53 + 1, BIGINT_MAX])
@pytest.mark.parametrize(
    "query", ["", "?status=queued&limit=7", "?label=a:b&label=c:%3E%20%22%0D%0A%26é", "?after=x"]
)
def test_the_link_leads_to_the_next_page_of_the_same_list(query: str, last: int) -> None:
    link = _next(RUNS + query, last)

    assert link.isascii()
    page, problems = _page(link)
    assert (page.after, problems) == (last, {})
    assert page.limit == (7 if "limit" in query else 50)
    before, after = URL(RUNS + query).query.copy(), URL(link).query.copy()
    before.popall("after", None)
    after.popall("after")
    assert sorted(after.items()) == sorted(before.items())


def test_a_cursor_holds_for_any_size_of_page_and_order_of_filters() -> None:
    cursor = URL(_next(f"{RUNS}?label=a:b&label=c:d&limit=5", 9)).query["after"]

    assert _page(f"{RUNS}?label=c:d&label=a:b&after={cursor}") == (Page(50, 9), {})


@pytest.mark.parametrize(
    "url",
    [
        f"{RUNS}?after={{}}",
        f"{RUNS}?status=queued&after={{}}",
        f"{RUNS}?status=running&label=a:b&after={{}}",
        f"{RUNS}?label=running&after={{}}",
        f"{RUNS}/1/cancellations?status=running&after={{}}",
        f"{RUNS}?status=running&after={{}}&after={{}}",
        f"{RUNS}?status=running&after={{}}A",
    ],
)
def test_a_cursor_of_another_list_is_refused(url: str) -> None:
    cursor = URL(_next(f"{RUNS}?status=running", 9)).query["after"]

    _, problems = _page(url.replace("{}", cursor))

    assert problems == {"after": BAD_CURSOR}


@pytest.mark.parametrize("cursor", ["", "x", "é", "%00", "=", "A" * 22, "1" * 5000, "4711", "-1"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    assert _page(f"{RUNS}?after={cursor}")[1] == {"after": BAD_CURSOR}


def test_a_cursor_beyond_all_runs_is_refused() -> None:
    """Anybody can make one: it is no secret how."""
    assert _page(_next(RUNS, BIGINT_MAX + 1))[1] == {"after": BAD_CURSOR}


@pytest.mark.parametrize("limit", ["1", "50", "200"])
def test_a_limit_is_taken(limit: str) -> None:
    assert _page(f"{RUNS}?limit={limit}") == (Page(int(limit), None), {})


@pytest.mark.parametrize("limit", ["0", "201", "-1", "", "1.5", "²", "٣", "1" * 5000, "5&limit=5"])
def test_no_other_limit_is_taken(limit: str) -> None:
    assert _page(f"{RUNS}?limit={limit}")[1] == {"limit": BAD_LIMIT}
