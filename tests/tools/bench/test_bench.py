"""What the bench says of its figures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tools.bench import guard
from tools.bench.against import compare, table
from tools.bench.docker_socket import has, rows_of
from tools.bench.load import requests
from tools.bench.output import document, plots
from tools.bench.output.report import console
from tools.bench.output.results import Bar, Results, Row, compared, flatness, percentile
from tools.errors import ToolError


@pytest.mark.parametrize(
    ("bar", "value", "verdict"),
    [
        (Bar(at_least=0.55, aim=0.8), 0.54, "not met"),
        (Bar(at_least=0.55, aim=0.8), 0.55, "met"),
        (Bar(at_least=0.55, aim=0.8), 0.8, "met, aim met"),
        (Bar(at_most=2, aim=1.3), 2.01, "not met"),
        (Bar(at_most=2, aim=1.3), 2, "met"),
        (Bar(at_most=2, aim=1.3), 1.3, "met, aim met"),
        (Bar(at_most=1, aim=0.7, below=True), 1, "not met"),
        (Bar(), 1, ""),
    ],
)
def test_verdicts(bar: Bar, value: float, verdict: str) -> None:
    assert bar.verdict(value) == verdict


def test_a_row_is_judged_by_the_ratio_of_its_medians() -> None:
    row = compared("k", "m", "/s", Bar(at_least=0.5), [1, 5, 3], "floor", [6, 6, 7])
    assert (row.ours, row.theirs, row.ratio, row.verdict) == (3, 6, 0.5, "met")


def test_a_row_without_another_is_judged_by_itself() -> None:
    assert compared("k", "m", "MB", Bar(at_most=80), [81]).verdict == "not met"


@pytest.mark.parametrize(
    ("costs", "growth"), [((4, 2, 1), 0.5), ((1, 2, 1.5), 2), ((3, 1, 1.2), 1.2)]
)
def test_growth_is_what_more_costs_than_less(costs: tuple[float, ...], growth: float) -> None:
    by_size = {10**at: [cost] for at, cost in enumerate(costs)}
    assert flatness("k", "m", by_size).ratio == pytest.approx(growth)


def test_percentiles() -> None:
    taken = list(range(1, 101))
    assert (percentile(taken, 50), percentile(taken, 99), percentile([7], 99)) == (51, 100, 7)


def quick(**ratios: float) -> Results:
    rows = [
        Row("rate", "m", "/s", ratios["rate"], Bar(at_least=0.5), "floor", 1),
        Row("time", "m", "ms", ratios["time"], Bar(at_most=2), "floor", 1),
    ]
    return Results("here", quick=True, rows=rows)


@pytest.mark.parametrize(
    ("now", "code"),
    [
        ({"rate": 1.0, "time": 1.0}, 0),
        ({"rate": 2.0, "time": 0.5}, 0),
        ({"rate": 0.81, "time": 1.24}, 0),
        ({"rate": 0.79, "time": 1.0}, 1),
        ({"rate": 1.0, "time": 1.26}, 1),
    ],
)
def test_the_guard_fails_on_what_is_worse_by_a_quarter(
    tmp_path: Path, now: dict[str, float], code: int
) -> None:
    path = tmp_path / "bench.json"
    guard.record(quick(rate=1.0, time=1.0), path)
    said: list[str] = []
    assert guard.compare(quick(**now), path, said.append) == code
    assert len(said) == 1


@pytest.mark.parametrize(("rate", "code"), [(0.51, 0), (0.49, 1)])
def test_the_guard_can_be_told_to_tolerate_more(tmp_path: Path, rate: float, code: int) -> None:
    path = tmp_path / "bench.json"
    guard.record(quick(rate=1.0, time=1.0), path)

    assert guard.compare(quick(rate=rate, time=1.9), path, lambda _: None, 100) == code


@pytest.mark.parametrize(("memory", "code"), [(62.0, 0), (63.0, 1)])
def test_the_guard_tolerates_no_more_memory(tmp_path: Path, memory: float, code: int) -> None:
    path = tmp_path / "bench.json"
    row = Row("memory", "m", "MB", 50.0, Bar(at_most=45))
    guard.record(Results("here", quick=True, rows=[row]), path)
    now = Results("here", quick=True, rows=[replace(row, ours=memory)])

    assert guard.compare(now, path, lambda _: None, 200) == code


def test_a_recorded_run_keeps_what_it_did_not_measure(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    guard.record(quick(rate=1.0, time=1.0), path)
    row = compared("other", "m", "ms", Bar(), [1])
    guard.record(Results("here", quick=False, rows=[row]), path)
    guard.record(Results("here", quick=False, rows=[compared("one", "m", "ms", Bar(), [1])]), path)
    recorded = json.loads(path.read_text())
    assert [row["key"] for row in recorded["rows"]] == ["other", "one"]
    assert set(recorded["guard"]) == {"rate", "time"}


def test_a_recorded_run_redraws_the_figures_of_the_document_and_nothing_else(
    tmp_path: Path,
) -> None:
    requirements, path = tmp_path / "requirements.txt", tmp_path / "performance.md"
    requirements.write_text(
        "# Peers.\ncelery==1.0\ndramatiq==2.0\ndramatiq-abort==3.0\nfaststream==4.0\nvine==5.0\n"
    )
    path.write_text(f"# Title\n\n{document.BEGIN}\nold figures\n{document.END}\n\nWhy.\n")
    rows = [
        compared("a", "rate", "/s", Bar(at_least=0.8), [12, 8, 10], "raw", [9, 11, 10]),
        compared("b", "memory", "MB", Bar(at_most=45), [50, 60]),
        flatness("c", "many", {1: [1], 10: [2]}, 1.15),
    ]

    for _ in range(2):  # it leaves a place for the next time
        document.redraw(Results("here", quick=False, rows=rows), 3, requirements, path)

    text = path.read_text()
    assert text.startswith(f"# Title\n\n{document.BEGIN}\n")
    assert text.endswith(f"{document.END}\n\nWhy.\n")
    assert "old figures" not in text
    assert "Medians of 3 rounds" in text
    assert "here" in text
    assert "celery 1.0, dramatiq 2.0, dramatiq-abort 3.0, faststream 4.0." in text
    assert [line for line in text.splitlines() if line.startswith("|")][2:] == [
        "| rate | 10.0 /s (8.00 to 12.0) | raw: 10.0 /s (9.00 to 11.0) | 1.00 | ≥ 0.8 | met |",
        "| memory | 55.0 MB (50.0 to 60.0) |  |  | ≤ 45 | not met |",
        "| many |  | the same at smaller sizes | 2.00 | ≤ 1.15 | not met |",
    ]


def test_a_document_without_a_place_for_figures_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text("# Title\n")

    with pytest.raises(ToolError, match="lacks the lines"):
        document.redraw(Results("here", quick=False), 3, path, path)

    assert path.read_text() == "# Title\n"


def measured(**figures: float) -> list[dict[str, Any]]:
    """What one round writes: a rate with a floor of 10/s, a time with none, and a growth."""
    rows = {
        "rate": lambda it: compared("rate", "cancels", "/s", Bar(at_least=1), [it], "floor", [10]),
        "time": lambda it: compared("time", "one", "ms", Bar(), [it]),
        "flat": lambda it: flatness("flat", "many", {1: [1], 10: [it]}),
    }
    return [rows[key](figure).as_json() for key, figure in figures.items()]


def test_two_versions_are_compared_by_figures_and_ratios() -> None:
    new = [measured(rate=12, time=3, flat=1), measured(rate=14, time=4, flat=1)]
    old = [measured(rate=10, time=2, flat=2), measured(rate=10, time=3, flat=2)]
    changes = {line.measure.strip(): line.change("v1") for line in compare(new, old)}
    assert changes == {
        "cancels": "+30%, better",
        "its ratio to: floor": "+30%, better",
        "one": "+40%, worse, ranges overlap",
        "many": "-50%, better",
    }


def test_what_only_one_version_measures_is_said_to_be_so() -> None:
    lines = compare([measured(time=3)], [measured(flat=2), measured(flat=4)])
    assert [line.change("v1") for line in lines] == ["only in this version", "only in v1"]
    shown = console()
    with shown.capture() as captured:
        shown.print(table(lines, "v1"))
    assert "3.00 (2.00-4.00)" in captured.get()


def test_plots_are_well_formed_and_small(tmp_path: Path) -> None:
    results = Results("here", quick=False)
    results.latencies = {"accepted": [1.0, 2, 30], "raw confirmed publish": [0.5, 4]}
    results.growth = {"one by one, by live trees": {10: 1.5, 1000: 2.0}}
    plots.write(results, tmp_path)
    written = sorted(tmp_path.iterdir())
    assert [path.name for path in written] == ["bench-accept.svg", "bench-growth.svg"]
    for path in written:
        ElementTree.parse(path)  # noqa: S314 - our own
        assert path.stat().st_size < 20_000


def test_requests_are_whole() -> None:
    (request,) = requests("rct_x", [7])
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v1/runs/7/cancel HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


def test_the_rows_of_a_measure_that_is_a_program_come_out_as_they_went_in() -> None:
    rows = [compared("docker_ping", "m", "ms", Bar(), [1, 3, 2], "the engine itself", [4, 6, 5])]
    written = Results("here", quick=False, rows=rows).as_json()
    assert rows_of(json.loads(json.dumps(written))) == rows


async def test_an_engine_that_is_not_there_has_no_image(tmp_path: Path) -> None:
    assert await has(f"unix://{tmp_path}/docker.sock", "any") is False
