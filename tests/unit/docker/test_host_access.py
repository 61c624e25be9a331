"""Containers and volumes with power over the host are refused, however they are written."""

import json
from pathlib import Path
from typing import Any

import pytest

from worker.docker.rules import go_json
from worker.docker.rules.host_access import SETTING, HostAccess
from worker.docker.rules.host_paths import HostPaths
from worker.docker.rules.refused import Refused

ENGINE = Path("/srv/engine/it.sock")
OWN = Path("/run/run-cancel/docker.sock")


def _check(host_config: Any, *, allowed: bool = False) -> None:
    parsed = go_json.parse(json.dumps(host_config).encode())
    HostAccess(HostPaths(ENGINE, OWN), allowed).check_container(parsed)


def _local(**options: str) -> dict[str, Any]:
    return {"Mounts": [{"Type": "volume", "VolumeOptions": {"DriverConfig": {"Options": options}}}]}


REFUSED = [
    ({"Privileged": True}, "privileged"),
    ({"privileged": True}, "privileged"),
    ({"Privileged": "yes"}, "privileged"),
    ({"PidMode": "host"}, "pid namespace"),
    ({"CgroupnsMode": "host"}, "cgroup namespace"),
    ({"cgroupNSmode": "host"}, "cgroup namespace"),
    ({"CapAdd": ["SYS_ADMIN"]}, "capability SYS_ADMIN"),
    ({"capadd": ["NET_ADMIN", "cap_sys_admin"]}, "capability SYS_ADMIN"),
    ({"CapAdd": ["all"]}, "capability ALL"),
    ({"MaskedPaths": []}, "MaskedPaths of its own"),
    ({"readonlyPaths": ["/proc/bus"]}, "ReadonlyPaths of its own"),
    ({"Binds": ["/:/host"]}, "host's root"),
    ({"Binds": ["//:/host:ro"]}, "host's root"),
    ({"Binds": ["/..:/host"]}, "host's root"),
    ({"bindS": ["/tmp/..:/host"]}, "host's root"),
    ({"Bind\N{LATIN SMALL LETTER LONG S}": ["/:/host"]}, "host's root"),
    ({"Binds": ["/proc:/p"]}, "proc file system"),
    ({"Binds": ["/proc/1/root:/p"]}, "proc file system"),
    ({"Binds": ["/proc/../proc/self/root:/p"]}, "proc file system"),
    ({"Binds": ["//sys/fs/cgroup:/p"]}, "sys file system"),
    ({"Binds": ["/var/run/docker.sock:/s"]}, "socket of a container engine"),
    *(
        ({"Binds": [f"/elsewhere/{engine}.sock:/s"]}, "it is the socket of a container engine")
        for engine in ("docker", "containerd", "podman", "crio", "buildkitd")
    ),
    ({"Binds": ["/run:/r"]}, "socket of a container engine is in it"),
    ({"Binds": ["/var/run/:/r"]}, "socket of a container engine is in it"),
    *(
        ({"Binds": [f"/run/{directory}:/r"]}, "socket of a container engine is in it")
        for directory in ("containerd", "docker/containerd", "podman", "crio", "buildkit")
    ),
    ({"Binds": [f"{ENGINE}:/s"]}, "socket of a container engine"),
    ({"Binds": ["/srv:/s"]}, "socket of a container engine is in it"),
    ({"Mounts": [{"Type": "bind", "Source": "/", "Target": "/h"}]}, "host's root"),
    ({"mounts": [{"tYPE": "BIND", "sourCe": "/sys", "Target": "/h"}]}, "sys file system"),
    (_local(type="none", o="bind", device="/"), "host's root"),
    (_local(type="tmpfs", o="ro,rbind", device="/proc"), "proc file system"),
    (_local(type="proc", device="proc"), "volume of type proc"),
    (_local(type="overlay", o="lowerdir=/", device="overlay"), "volume of type overlay"),
]  # fmt: skip

PASSED: list[dict[str, Any]] = [
    {},
    {"Privileged": False, "PidMode": "", "CgroupnsMode": "private", "Binds": None},
    {"CapAdd": ["NET_ADMIN", "CAP_SYS_PTRACE"], "CapDrop": ["ALL"]},
    {"Binds": ["data:/d", "/home/me:/me", "/tmp:/t:ro", "/data"]},
    {"Binds": ["/procedures:/p", "/system:/s", "/runner:/r"]},
    {"Binds": [f"{OWN}:/var/run/docker.sock", f"{OWN.parent}:/d"]},
    {"Mounts": [{"Type": "bind", "Source": "/home"}, {"Type": "tmpfs", "Target": "/t"}]},
    _local(type="tmpfs", device="tmpfs", o="size=10m"),
    _local(type="nfs", device=":/", o="addr=10.0.0.1"),
    _local(type="none", device="/home/me", o="bind"),
]


@pytest.mark.parametrize(("host_config", "reason"), REFUSED)
def test_what_reaches_the_host_is_refused(host_config: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as refused:
        _check(host_config)
    assert refused.value.status == 403
    assert SETTING in str(refused.value)


@pytest.mark.parametrize(("host_config", "reason"), REFUSED)
def test_one_setting_allows_it(host_config: Any, reason: str) -> None:
    _check(host_config, allowed=True)


@pytest.mark.parametrize("host_config", PASSED)
def test_everything_else_passes(host_config: Any) -> None:
    _check(host_config)


def test_symlinks_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to("/")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in ("root", "root/proc", "root/var/run/docker.sock"):
        with pytest.raises(Refused):
            _check({"Binds": [f"{tmp_path / path}:/x"]})
    _check({"Binds": [f"{tmp_path}/loop:/x", f"{tmp_path}/root/home:/y"]})


@pytest.mark.parametrize(
    "host_config",
    [{"Binds": "/:/x"}, {"Binds": [1]}, {"Mounts": {}}, {"Mounts": ["/"]}, {"PidMode": ["host"]}],
)
def test_other_types_are_refused(host_config: Any) -> None:
    with pytest.raises(Refused) as refused:
        _check(host_config)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"Privileged":false,"Privileged":true}',
        b'{"Privileged":false,"privileged":true}',
        '{"Binds":[],"Bind\N{LATIN SMALL LETTER LONG S}":["/:/x"]}'.encode(),
    ],
)
def test_keys_that_go_would_merge_are_refused(body: bytes) -> None:
    with pytest.raises(Refused, match="twice"):
        HostAccess(HostPaths(ENGINE, OWN)).check_container(go_json.parse(body))
