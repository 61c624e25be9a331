"""Where a private server listens."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """127.0.0.1, unless the server has a network namespace and an address of its own."""

    address: str = "127.0.0.1"
    namespace: int | None = None
    """A process in that namespace."""

    def command(self, *command: str) -> list[str]:
        """The command, to be run there. It stays one process."""
        if self.namespace is None:
            return list(command)
        return ["nsenter", f"--net=/proc/{self.namespace}/ns/net", *command]
