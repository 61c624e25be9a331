"""Records again one after another, so that one that fails does not keep the others undone."""

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import TypeVar

from shared.errors import RunCancelError, ServiceUnavailable

T = TypeVar("T")


class SomeNotHealed(RunCancelError):
    """Some are still missing on record; `again` are the ids of those that were recorded again."""

    def __init__(self, again: list[object], errors: list[Exception]) -> None:
        super().__init__(f"{len(errors)} failed; the first one: {errors[0]!r}")
        self.again = again


async def heal_each(
    items: AsyncIterable[T], heal: Callable[[T], Awaitable[object | None]]
) -> list[object]:
    """Call `heal` with each of them. The ids that it returns: None if nothing was missing.

    Raises ServiceUnavailable at once: the others would wait for the same outage. Raises
    SomeNotHealed after all were tried, from the first error.
    """
    again: list[object] = []
    errors: list[Exception] = []
    async for item in items:
        try:
            healed = await heal(item)
        except ServiceUnavailable:
            raise
        except Exception as error:  # whatever it is, the others do not depend on it
            errors.append(error)
            continue
        if healed is not None:
            again.append(healed)
    if errors:
        raise SomeNotHealed(again, errors) from errors[0]
    return again
