"""Whether anything is left of a run: containers are looked for before its processes."""

from collections.abc import Sequence
from uuid import UUID

from shared.states import Containment, Proof
from tests.support.records.processes import run_process
from worker.docker.containers import Containers
from worker.evidence import ContainerLeft, Ended, Evidence
from worker.processes.known_launchers import KnownLaunchers
from worker.stop.run_stopper import RunStopper

_ONE = ContainerLeft("c1", "job", "image")


class _Containers(Containers):
    """Says what is left."""

    def __init__(self, *left: ContainerLeft) -> None:
        self._left = left

    async def left(self, launch_id: UUID, cgroup_parent: str) -> Sequence[ContainerLeft]:
        assert (launch_id, cgroup_parent) == (UUID(int=2), "/c/containers")
        return self._left


async def _gone(containers: Containers | None, containers_in: str | None) -> Evidence | None:
    of_an_earlier_boot = run_process(
        containment=Containment.CGROUP, cgroup="/c", containers_in=containers_in
    )
    return await RunStopper(KnownLaunchers(), containers).gone(of_an_earlier_boot)


async def test_a_run_with_a_container_is_not_gone() -> None:
    assert await _gone(_Containers(_ONE), "/c/containers") is None


async def test_a_run_whose_containers_cannot_be_seen_is_not_gone() -> None:
    assert await _gone(None, "/c/containers") is None


async def test_a_run_without_containers_is_gone_after_a_reboot() -> None:
    for found in (
        await _gone(_Containers(), "/c/containers"),
        await _gone(_Containers(_ONE), None),
        await _gone(None, None),
    ):
        assert found is not None
        assert (found.ended, found.proof) == (Ended.ALREADY_GONE, Proof.HOST_REBOOTED)
