"""The members of a cgroup: those that cannot be listed are other cgroups' or a failure."""

import errno
from pathlib import Path

import pytest

from worker.processes import cgroup
from worker.processes.cgroup import CONTAINERS, Cgroup


@pytest.fixture
def group(tmp_path: Path) -> Cgroup:
    for number, path in enumerate((tmp_path, tmp_path / "a", tmp_path / CONTAINERS), 1):
        path.mkdir(exist_ok=True)
        (path / "cgroup.procs").write_text(f"{number}\n{number}0\n")
    return Cgroup(tmp_path)


def test_all_below_are_members_and_containers_can_be_left_out(group: Cgroup) -> None:
    assert sorted(group.members()) == [1, 2, 3, 10, 20, 30]
    assert sorted(group.members(without_containers=True)) == [1, 2, 10, 20]


@pytest.mark.parametrize(
    ("number", "passes"),
    [(errno.EOPNOTSUPP, True), (errno.EMFILE, False), (errno.EACCES, False)],
)
def test_only_a_threaded_cgroup_below_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, group: Cgroup, number: int, passes: bool
) -> None:
    def pids(path: str) -> list[int]:
        if path == str(group.path / "a"):
            raise OSError(number, "not listed")
        return [1]

    monkeypatch.setattr(cgroup, "_pids", pids)

    if passes:
        assert group.members() == [1, 1]
    else:
        with pytest.raises(OSError, match="not listed"):
            group.members()
