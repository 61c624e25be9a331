"""Whether /proc hides processes from a worker, by the options of its mount."""

import os

import pytest

from worker.processes.privileges import Privileges, _is_hiding, why_not_found

OURS, NOT_OURS = str(os.getegid()), "54321"


@pytest.mark.parametrize(
    ("options", "hides"),
    [
        ({"rw": ""}, False),
        ({"hidepid": "0"}, False),
        ({"hidepid": "1"}, False),  # denies their files, but names them all
        ({"hidepid": "noaccess"}, False),
        ({"hidepid": "2", "gid": NOT_OURS}, True),
        ({"hidepid": "invisible", "gid": NOT_OURS}, True),
        ({"hidepid": "invisible", "gid": OURS}, False),
        ({"hidepid": "ptraceable", "gid": OURS}, True),
        ({"hidepid": "4"}, True),
    ],
)
def test_a_proc_that_hides_processes_is_known(options: dict[str, str], hides: bool) -> None:
    assert _is_hiding(options) == hides


def test_a_run_is_refused_where_processes_are_hidden() -> None:
    blind = Privileges(uid=1000, signals_all=False, reads_all=False, lists_all=False)

    assert why_not_found(blind, 1000, os.getpid()) == (
        "this worker cannot find a run's processes: /proc is mounted with hidepid"
    )
