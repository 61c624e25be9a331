"""What a launcher has started beside the leader of its run."""

import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple
from uuid import uuid4

import pytest

from tests.support.stops.stoppable import identity_of
from worker.processes.identity import Identity
from worker.processes.scan import Kinship, find_beside, has_beside

_LAUNCHES = """
import subprocess, sys
children = [subprocess.Popen(["/bin/sleep", "60"]) for _ in range(2)]
print(*(child.pid for child in children), flush=True)
sys.stdin.read()
for child in children:
    child.kill()
    child.wait()
"""


class Launched(NamedTuple):
    launcher: Identity
    leader: Identity
    other: Identity

    def kin(self, launcher: Identity) -> Kinship:
        return Kinship(self.leader, launcher, uuid4(), uid=0, adopts=False)


@pytest.fixture
def launched() -> Iterator[Launched]:
    command = [sys.executable, "-S", "-c", _LAUNCHES]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as launcher:
        assert launcher.stdout is not None
        children = map(int, launcher.stdout.readline().split())
        yield Launched(identity_of(launcher.pid), *map(identity_of, children))
        assert launcher.stdin is not None
        launcher.stdin.close()


def test_its_other_children_are_found(launched: Launched) -> None:
    kin = launched.kin(launched.launcher)

    assert has_beside(kin)
    assert set(find_beside(kin)) == {launched.other}


def test_another_process_with_its_pid_has_none_that_count(launched: Launched) -> None:
    earlier = Identity(launched.launcher.pid, launched.launcher.start_ticks - 1)
    kin = launched.kin(earlier)

    assert not has_beside(kin)
    assert find_beside(kin) == {}
