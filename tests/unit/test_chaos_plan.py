"""The schedule of a chaos round: the seed's alone, and kind to a broker that has just begun."""

import pytest

from tests.chaos import fault_kinds  # noqa: F401 - registers them
from tests.chaos.faults import BROKER_SECONDS, FAULTS, plan


def test_a_seed_always_gives_the_same_schedule() -> None:
    assert plan(42, 60, ()) == plan(42, 60, ())
    assert plan(42, 60, ()) != plan(43, 60, ())


@pytest.mark.parametrize("seed", range(20))
def test_each_usual_fault_comes_in_a_minute_or_two(seed: int) -> None:
    usual = {name for name, fault in FAULTS.items() if fault.often}
    of_cluster = {name for name, fault in FAULTS.items() if fault.of_cluster}
    assert {planned.name for planned in plan(seed, 120, ())} == usual - of_cluster
    assert {planned.name for planned in plan(seed, 120, (), cluster=True)} == usual


@pytest.mark.parametrize("seed", range(20))
def test_no_queue_is_lost_that_the_broker_has_not_on_disk(seed: int) -> None:
    late = [planned for planned in plan(seed, 60, ()) if FAULTS[planned.name].is_late]
    assert late
    assert all(planned.at >= BROKER_SECONDS for planned in late)
