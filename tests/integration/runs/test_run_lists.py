"""GET /api/v1/runs: runs by status, host and labels, in pages."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import pytest
import pytest_asyncio
from yarl import URL

from shared.run_list import LOOKED_AT
from tests.support.http.api import Api
from tests.support.shared_system import shared_system
from tools.services import Services
from tools.support.records import Json
from tools.support.rows import PASS, QUEUED, RUNNING, STOPPED, insert, insert_run
from tools.support.system import System

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUNS: Final = "/api/v1/runs"
MAIN: Final = {"branch": "main"}
ROWS: Final[dict[int, Json]] = {
    1: {**QUEUED, "labels": MAIN},
    2: {**QUEUED, "labels": {"branch": "dev", "os": "linux"}},
    3: {**RUNNING, "labels": {**MAIN, "os": "linux"}},
    4: {**RUNNING, "host": "h2", "labels": MAIN},
    5: {**PASS, "labels": {**MAIN, "os": "linux"}},
    6: {**STOPPED, "host": "h2", "labels": {"odd": "a:b &=é\n"}},
    2**63 - 1: {**QUEUED, "labels": {}},
}
NEWEST: Final = 2**63 - 1
BAD_CURSOR: Final = "must be given once, as in the link to the next page of this list"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    async with shared_system(services, template, tmp_path_factory.mktemp("gw")) as running:
        for run_id, row in ROWS.items():
            process = {"pid": run_id + 1} if "pid" in row else {}
            await insert_run(running.database, run_id, {**row, **process})
        command = {
            **{"command_id": "6f1d3c52-8a0e-4d7b-9b1a-2f4f0f1f7c11", "run_id": 6, "via": "rest"},
            **{"requested_by": "bob", "force": False, "received_at": "2026-01-02T03:04:05Z"},
            **{"outcome": "canceled", "finished_at": "2026-01-02T03:04:06Z"},
            "evidence": {"proof": "cgroup_empty"},
        }
        async with running.database.acquire() as connection:
            await insert(connection, "cancellations", command)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(system: System) -> Api:
    return Api(await system.gateway(), system.http, await system.token())


async def _page(api: Api, query: str) -> tuple[list[Json], str | None]:
    """The runs, and the path of the next page."""
    answer = await api.ask("GET", f"{RUNS}{query}")
    assert answer.status == 200, answer.body
    assert set(answer.body) == {"runs"}
    link = answer.headers.get("Link")
    if link is None:
        return answer.body["runs"], None
    assert link.startswith(f"<{RUNS}?")
    assert link.endswith('>; rel="next"')
    return answer.body["runs"], link[1 : link.index(">")].removeprefix(RUNS)


def _ids(runs: Sequence[Json]) -> list[int]:
    return [run["run_id"] for run in runs]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [NEWEST, 6, 5, 4, 3, 2, 1]),
        ("?status=queued", [NEWEST, 2, 1]),
        ("?status=running", [4, 3]),
        ("?status=pass", [5]),
        ("?status=error", []),
        ("?host=h1", [5, 3]),
        ("?host=h2", [6, 4]),
        ("?host=nowhere", []),
        ("?label=branch:main", [5, 4, 3, 1]),
        ("?label=branch:main&label=os:linux", [5, 3]),
        ("?label=os:linux&label=branch:main", [5, 3]),
        ("?label=branch:main&label=branch:dev", []),
        ("?label=branch:mai", []),
        ("?label=odd:a:b%20%26%3D%C3%A9%0A", [6]),
        ("?status=running&host=h2", [4]),
        ("?status=pass&host=h1&label=os:linux", [5]),
        ("?status=queued&label=branch:main", [1]),
        ("?host=h1&label=branch:main", [5, 3]),
        ("?host=h2&status=canceled", [6]),
    ],
)
async def test_a_list_has_the_runs_for_which_all_filters_hold(
    api: Api, query: str, expected: list[int]
) -> None:
    runs, after = await _page(api, query)

    assert (_ids(runs), after) == (expected, None)
    for size in (1, 2, 3):
        assert await _all(api, f"{query}{'&' if query else '?'}limit={size}", size) == expected


async def _all(api: Api, query: str, most: int) -> list[int]:
    found: list[int] = []
    following: str | None = query
    while following is not None:
        runs, following = await _page(api, following)
        assert len(runs) <= most
        assert runs or found == [], "a link to a page without runs"
        found += _ids(runs)
    return found


async def test_each_run_of_a_list_is_as_when_it_is_asked_for_alone(api: Api) -> None:
    runs, _ = await _page(api, "")

    for run in runs:
        assert (await api.ask("GET", f"{RUNS}/{run['run_id']}")).body == run
    assert next(it for it in runs if it["run_id"] == 6)["cancellation"]["requested_by"] == "bob"


async def test_runs_that_are_registered_meanwhile_move_no_page(system: System, api: Api) -> None:
    first, after = await _page(api, "?label=branch:main&limit=2")
    assert after is not None
    await insert_run(system.database, 1000, {**QUEUED, "labels": MAIN})

    second, _ = await _page(api, after)

    await system.database.execute("DELETE FROM runs WHERE run_id = 1000")
    await system.database.execute("DELETE FROM run_labels WHERE run_id = 1000")
    assert _ids(first + second) == [5, 4, 3, 1]


@pytest.mark.parametrize(
    "query", ["?limit=1", "?status=queued&limit=1", "?label=branch:main&host=h2", "?host=h2"]
)
async def test_a_cursor_of_another_list_is_refused(api: Api, query: str) -> None:
    _, after = await _page(api, "?label=branch:main&limit=1")
    assert after is not None
    cursor = URL(after).query["after"]

    for other in (cursor, f"{cursor}x", "nonsense", ""):
        answer = await api.ask("GET", f"{RUNS}{query}&after={other}")

        assert answer.error == (400, "validation_error")
        assert answer.body["details"]["fields"] == {"after": BAD_CURSOR}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *(("status=waiting", "status"), ("status=", "status")),
        ("status=pass&status=fail", "status"),
        *(("host=", "host"), ("host=a%00b", "host"), ("host=%FF", "host")),
        ("host=a&host=b", "host"),
        *(("label=branch", "label"), ("label=:main", "label"), ("label=a%00:b", "label")),
        *(("label=a:%00", "label"), (f"label={'k' * 64}:v", "label"), ("label=", "label")),
        (f"label=k:{'v' * 256}", "label"),
        ("&".join(f"label=k{number}:v" for number in range(17)), "label"),
        *(("limit=0", "limit"), ("limit=201", "limit"), ("limit=ten", "limit")),
        *(("labels=a:b", "labels"), ("before=7", "before")),
    ],
)  # fmt: skip
async def test_a_filter_that_cannot_be_is_named(api: Api, query: str, field: str) -> None:
    answer = await api.ask("GET", f"{RUNS}?{query}")

    assert answer.error == (400, "validation_error")
    assert list(answer.body["details"]["fields"]) == [field]


@pytest.mark.parametrize("label", ["%ED%A0%80:a", "a:%FF", "a:%F0%9F%98%80", "%22:%5C", "a::"])
async def test_any_other_label_may_be_asked_for(api: Api, label: str) -> None:
    assert await _page(api, f"?label={label}") == ([], None)


async def test_a_page_looks_at_a_number_of_runs_and_links_to_the_others(
    system: System, api: Api
) -> None:
    await system.database.execute(
        """INSERT INTO runs (run_id, labels)
           SELECT 10000 + n, CASE WHEN n = 1 THEN '{"many": "y", "rare": "y"}'
                                  ELSE '{"many": "y"}' END::jsonb
             FROM generate_series(1, $1::int) n""",
        LOOKED_AT + 1,
    )

    runs, after = await _page(api, "?label=many:y&label=rare:y")
    assert (runs, after is None) == ([], False)

    runs, after = await _page(api, str(after))
    assert (_ids(runs), after) == ([10001], None)
