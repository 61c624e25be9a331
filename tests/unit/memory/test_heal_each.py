"""What is recorded again one after another."""

from collections.abc import AsyncIterator

import pytest

from shared.errors import ServiceUnavailable
from worker.healing.each import SomeNotHealed, heal_each


async def _numbers() -> AsyncIterator[int]:
    for number in range(5):
        yield number


async def test_one_that_fails_does_not_keep_the_others_undone() -> None:
    async def heal(number: int) -> int | None:
        if number == 1:
            raise ValueError("the record of this one cannot be made")
        return None if number == 2 else number

    with pytest.raises(SomeNotHealed, match="cannot be made") as raised:
        await heal_each(_numbers(), heal)

    assert raised.value.again == [0, 3, 4]


async def test_an_outage_is_waited_out_before_the_others() -> None:
    tried = []

    async def heal(number: int) -> int:
        tried.append(number)
        raise ServiceUnavailable("Postgres does not answer")

    with pytest.raises(ServiceUnavailable):
        await heal_each(_numbers(), heal)

    assert tried == [0]
