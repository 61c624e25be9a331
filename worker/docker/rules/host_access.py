"""Refuses containers and volumes with power over the host: their run could not be canceled."""

from dataclasses import dataclass
from typing import Final

from worker.docker.rules.go_json import Object, Value
from worker.docker.rules.host_paths import HostPaths
from worker.docker.rules.refused import Refused, bad_request

SETTING: Final = "CANCEL_DOCKER_ALLOW_HOST_ACCESS"

# With these, a container can leave its cgroup, or load code into the kernel.
_CAPABILITIES: Final = frozenset(("ALL", "SYS_ADMIN", "SYS_MODULE"))
# These mount no part of the host.
_HARMLESS_TYPES: Final = frozenset(("", "tmpfs", "nfs", "nfs4", "cifs"))

# Each is looked up in the file system, while the worker does nothing else.
_MOST_MOUNTS: Final = 256
_LONGEST_PATH: Final = 4096  # PATH_MAX of the kernel


@dataclass(frozen=True, slots=True)
class HostAccess:
    """The rules. With `allowed`, nothing is refused."""

    paths: HostPaths
    allowed: bool = False

    def check_container(self, host_config: Object) -> None:
        """Raises Refused."""
        if self.allowed:
            return
        if host_config.field("Privileged") not in (None, False):
            raise self.refusal("a privileged container")
        for field, kind in (("PidMode", "pid"), ("CgroupnsMode", "cgroup")):
            if host_config.text(field).casefold() == "host":
                raise self.refusal(f"a container in the host's {kind} namespace")
        for field in ("MaskedPaths", "ReadonlyPaths"):
            # Without them, what is in /proc can be written: the kernel's core_pattern, for example.
            if host_config.field(field) is not None:
                raise self.refusal(f"a container with {field} of its own")
        for name in host_config.entries("CapAdd"):
            if _capability(name) in _CAPABILITIES:
                raise self.refusal(f"a container with the capability {_capability(name)}")
        binds, mounts = host_config.entries("Binds"), host_config.entries("Mounts")
        if len(binds) + len(mounts) > _MOST_MOUNTS:
            raise bad_request(f"more than {_MOST_MOUNTS} mounts are not supported here")
        for bind in binds:
            self._check_bind(bind)
        for mount in mounts:
            if not isinstance(mount, Object):
                raise bad_request("Mounts has an entry that is not an object")
            self._check_mount(mount)

    def check_exec(self, config: Object) -> None:
        """Raises Refused."""
        if not self.allowed and config.field("Privileged") not in (None, False):
            raise self.refusal("a privileged exec")

    def check_volume(self, driver: str, options: Object) -> None:
        """The options of the local driver can mount what they like. Raises Refused."""
        if self.allowed or driver.casefold() not in ("", "local"):
            return
        device = options.text("device")
        flags = [flag.strip().casefold() for flag in options.text("o").split(",")]
        if "bind" in flags or "rbind" in flags:  # whatever the type is
            self._check_path(device)
        elif (kind := options.text("type").casefold()) not in _HARMLESS_TYPES:
            raise self.refusal(f"a volume of type {kind[:50]}")

    def refusal(self, what: str) -> Refused:
        return Refused(
            403,
            f"{what} is refused, as it could reach out of the run, and not be canceled with it "
            f"({SETTING} allows it)",
        )

    def _check_bind(self, bind: Value) -> None:
        if not isinstance(bind, str):
            raise bad_request("Binds has an entry that is not a string")
        source, colon, _ = bind.partition(":")
        # Others are names of volumes, or, without a colon, a path in the container.
        if colon and ("/" in source or source.startswith(".")):
            self._check_path(source)

    def _check_mount(self, mount: Object) -> None:
        kind = mount.text("Type").casefold()
        if kind in ("volume", ""):
            driver = mount.nested("VolumeOptions").nested("DriverConfig")
            self.check_volume(driver.text("Name"), driver.nested("Options"))
        if kind not in ("volume", "tmpfs", "image", "cluster"):
            self._check_path(mount.text("Source"))

    def _check_path(self, path: str) -> None:
        if len(path) >= _LONGEST_PATH:
            raise bad_request("a path of a mount is longer than the kernel takes")
        if (problem := self.paths.problem(path)) is not None:
            raise self.refusal(f"a mount of {path[:200]} ({problem})")


def _capability(name: Value) -> str:
    if not isinstance(name, str):
        raise bad_request("CapAdd has an entry that is not a string")
    return name.upper().removeprefix("CAP_")
