"""The kernel's own threads are of no run, however little can be read of them."""

import os
from uuid import uuid4

import pytest

from worker.processes import scan
from worker.processes.identity import Identity, read_stat
from worker.processes.scan import Kinship


@pytest.fixture(autouse=True)
def kernel_threads() -> None:
    stat = read_stat(2)
    if stat is None or stat.name != "kthreadd":
        pytest.skip("none can be seen from here")
    assert stat.is_kernels


def test_none_is_in_doubt_though_a_root_job_may_be_older() -> None:
    nobody = Identity(2**22 + 1, 0)

    _, in_doubt = scan.find_marked(Kinship(nobody, nobody, uuid4(), uid=0, adopts=False))

    assert [stat.name for stat in in_doubt if stat.is_kernels] == []


def test_a_process_is_none() -> None:
    stat = read_stat(os.getpid())
    assert stat is not None
    assert not stat.is_kernels
