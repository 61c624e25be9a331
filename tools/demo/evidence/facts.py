"""Facts that the demo has checked, and those that turned out false."""

from tools.demo.screen import Screen


class Facts:
    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.last = "its beginning"
        self.checked = 0
        self.failed = 0

    def check(self, text: str, holds: bool, found: object = None, ms: float | None = None) -> None:
        """Show `text` as a fact if it holds, else as a failure with what was found instead."""
        self.checked += 1
        self.last = text
        if holds:
            self._screen.good(text, ms)
            return
        self.failed += 1
        self._screen.bad(text if found is None else f"{text}: found {found}")

    def equal(self, text: str, found: object, expected: object) -> None:
        self.check(text, found == expected, f"{found!r}, expected {expected!r}")

    def missed(self, text: str) -> None:
        """Something did not happen at all."""
        self.check(text, False)
