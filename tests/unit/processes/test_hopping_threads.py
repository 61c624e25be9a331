"""A process of which no thread lives long is found by each look, and never looks dead."""

import os
import subprocess
import sys
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from shared.launcher_environment import LAUNCH_VARIABLE
from tools.support.processes import BAD_CHILD
from worker.processes import scan
from worker.processes.identity import Identity, read_stat
from worker.processes.scan import Kinship

LOOKS = 100
LAUNCH_ID = uuid4()


@pytest.fixture
def hopping() -> Iterator[Identity]:
    with subprocess.Popen(
        [sys.executable, "-S", str(BAD_CHILD), "hops_threads", f"mark-{uuid4().hex}"],
        stdout=subprocess.PIPE,
        env={**os.environ, LAUNCH_VARIABLE: str(LAUNCH_ID)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        stat = read_stat(process.pid)
        assert stat is not None
        yield stat.identity
        process.kill()


def kin(launch_id: UUID) -> Kinship:
    nobody = Identity(2**22 + 1, 1)
    return Kinship(nobody, nobody, launch_id, os.getuid(), adopts=False)


def test_it_is_found_by_its_mark(hopping: Identity) -> None:
    for _ in range(LOOKS):
        live, _ = scan.find_marked(kin(LAUNCH_ID))
        assert [stat.identity for stat in live] == [hopping]


def test_it_lives(hopping: Identity) -> None:
    for _ in range(100 * LOOKS):
        stat = read_stat(hopping.pid)
        assert stat is not None
        assert not stat.is_dead
