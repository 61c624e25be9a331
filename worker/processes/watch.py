"""Waking when a process ends or a cgroup empties, without polling."""

import asyncio
import os
import select
import signal
from contextlib import suppress

from worker.processes.cgroup import Cgroup
from worker.processes.identity import Identity, ProcessHandle

# Maximum number of descriptors per tree. Beyond it, the notification of the cgroup must suffice,
# which the kernel may delay by up to 10 ms.
_MAX_HANDLES = 256


class EndWatch:
    """Wakes a waiting task when a watched process ends or the watched cgroup changes."""

    def __init__(self) -> None:
        # Our own epoll: unlike the event loop, it supports POLLPRI, and the event loop can wait for
        # it.
        self._epoll = select.epoll()
        self._handles: dict[int, ProcessHandle] = {}
        self._known: set[Identity] = set()
        self._cgroup_fd: int | None = None

    def add_cgroup(self, cgroup: Cgroup) -> None:
        self._cgroup_fd = cgroup.watch(self._epoll)

    def adopt(self, handle: ProcessHandle) -> None:
        """Take over `handle` and close it when its process has ended."""
        if handle.identity in self._known or len(self._handles) >= _MAX_HANDLES:
            handle.close()
            return
        self._known.add(handle.identity)
        self._handles[handle.fd] = handle
        self._epoll.register(handle.fd, select.EPOLLIN)

    def send(self, identity: Identity, *signals: signal.Signals) -> bool:
        """Signal a process and watch it; False if it was gone, or if we may not signal it."""
        handle = ProcessHandle.open(identity)
        if handle is None:
            return False
        reached = [handle.send(signum) for signum in signals]
        self.adopt(handle)
        return all(reached)

    async def wait(self, timeout: float) -> None:
        """Return at the next end of a process or change, or after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        loop.add_reader(self._epoll.fileno(), woken.set)
        try:
            async with asyncio.timeout(timeout):
                await woken.wait()
        except TimeoutError:
            return
        finally:
            loop.remove_reader(self._epoll.fileno())
        self._drain()

    def _drain(self) -> None:
        for fd, _ in self._epoll.poll(0):
            handle = self._handles.pop(fd, None)
            if handle is not None:
                self._epoll.unregister(fd)
                handle.close()
            elif fd == self._cgroup_fd:
                with suppress(OSError):  # ENODEV: the cgroup has been removed
                    os.pread(fd, 256, 0)

    def close(self) -> None:
        for handle in self._handles.values():
            handle.close()
        self._handles.clear()
        if self._cgroup_fd is not None:
            os.close(self._cgroup_fd)
            self._cgroup_fd = None
        self._epoll.close()
