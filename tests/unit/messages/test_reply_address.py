"""Only addresses that no queue can have are answered."""

import pytest

from worker.messages.reply_address import direct

GIVEN = "amq.rabbitmq.reply-to.g1h2AA9yZXBseUAxMjYxNTMyNTIAAAKwAAAAAGkrAh8=.RLZ4aWUrmIA+Qw=="


def test_the_address_of_a_channel_is_answered() -> None:
    assert direct(GIVEN) == GIVEN


@pytest.mark.parametrize(
    "address",
    [
        *(None, "", 7, "victim", "runs.cancel", "amq.gen-xyz", "amq.rabbitmq.reply-to"),
        *("amq.rabbitmq.reply-to.", "x" + GIVEN, "amq.rabbitmq.reply-tox.y", GIVEN.upper()),
        *(f"{GIVEN}\n", f"{GIVEN} ", f"{GIVEN}\0", "\n" + GIVEN, "amq.rabbitmq.reply-to.é"),
        "amq.rabbitmq.reply-to." + "a" * 201,
    ],
    ids=repr,
)
def test_no_other_one_is(address: object) -> None:
    assert direct(address) is None
