"""The time between SIGTERM and the stop, in which a proxy learns to send requests elsewhere."""


class Draining:
    """Whether the gateway is about to stop."""

    __slots__ = ("_has_begun",)

    def __init__(self) -> None:
        self._has_begun = False

    @property
    def has_begun(self) -> bool:
        """From then on it is not ready, and each response closes its connection."""
        return self._has_begun

    def begin(self) -> None:
        self._has_begun = True
