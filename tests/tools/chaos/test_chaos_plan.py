"""Chaos by itself: the schedule is the seed's alone, and mutations find the words they change."""

import pytest

from tools.chaos import fault_kinds  # noqa: F401 - registers them
from tools.chaos.faults import BROKER_SECONDS, FAULTS, plan
from tools.chaos.mutations import MUTATIONS, ROOT, Mutation


def test_a_seed_always_gives_the_same_schedule() -> None:
    assert plan(42, 60, ()) == plan(42, 60, ())
    assert plan(42, 60, ()) != plan(43, 60, ())


@pytest.mark.parametrize("seed", range(20))
def test_each_usual_fault_comes_in_a_minute_or_two(seed: int) -> None:
    usual = {name for name, fault in FAULTS.items() if fault.often}
    of_cluster = {name for name, fault in FAULTS.items() if fault.of_cluster}
    of_pair = {name for name, fault in FAULTS.items() if fault.of_pair}
    assert {planned.name for planned in plan(seed, 120, ())} == usual - of_cluster - of_pair
    assert {planned.name for planned in plan(seed, 120, (), cluster=True)} == usual - of_pair
    assert {planned.name for planned in plan(seed, 120, (), pair=True)} == usual - of_cluster


@pytest.mark.parametrize("seed", range(20))
def test_no_queue_is_lost_that_the_broker_has_not_on_disk(seed: int) -> None:
    late = [planned for planned in plan(seed, 60, ()) if FAULTS[planned.name].is_late]
    assert late
    assert all(planned.at >= BROKER_SECONDS for planned in late)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_finds_what_it_changes(mutation: Mutation) -> None:
    for edit in mutation.edits:
        assert (ROOT / edit.file).read_text().count(edit.old) == 1
