"""Paths of the host that give a container power over what is outside of its run."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_TREES: Final = (Path("/proc"), Path("/sys"))
_SOCKET_NAMES: Final = frozenset(
    ("docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock")
)
_SOCKETS: Final = (
    Path("/run/docker.sock"),
    Path("/run/containerd/containerd.sock"),
    Path("/run/docker/containerd/containerd.sock"),
    Path("/run/podman/podman.sock"),
    Path("/run/crio/crio.sock"),
    Path("/run/buildkit/buildkitd.sock"),
)


class HostPaths:
    """Which paths of the host are protected.

    Symlinks are resolved as this process sees them. The engine resolves them once more, later: a
    job that replaces a directory by a symlink in between is not noticed.
    """

    def __init__(self, engine: Path, own: Path) -> None:
        """`engine` is the engine's socket. `own` is ours, which may be mounted."""
        self._own = set(_forms(str(own)))
        self._sockets = {form for path in (engine, *_SOCKETS) for form in _forms(str(path))}

    def problem(self, path: str) -> str | None:
        """Why `path` is protected, or None."""
        for form in _forms(path):
            if form == Path("/"):
                return "it is the host's root"
            if any(form == tree or tree in form.parents for tree in _TREES):
                return f"it is in the host's {form.parts[1]} file system"
            if form in self._sockets or (form.name in _SOCKET_NAMES and form not in self._own):
                return "it is the socket of a container engine"
            if any(form in socket.parents for socket in self._sockets):
                return "the socket of a container engine is in it"
        return None


def _forms(path: str) -> Iterator[Path]:
    """What `path` can mean: the engine removes `..` first, the kernel follows symlinks first."""
    clean = os.path.normpath("/" + path.lstrip("/"))  # normpath keeps a double slash at the start
    yield Path(clean)
    for each in (clean, "/" + path.lstrip("/")):
        try:
            yield Path(os.path.realpath(each))  # Path.resolve raises for loops
        except (OSError, ValueError):  # such as a NUL: the engine cannot mount that either
            continue
