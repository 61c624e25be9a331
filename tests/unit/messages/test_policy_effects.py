"""What is said of a policy, by queue: only what can do harm."""

from typing import Any, Final

import pytest

from shared.amqp.policies.effects import Effect, Held, on_commands, on_queue, our_queues
from shared.amqp.topology import Topology

QUEUES: Final = our_queues("ci.")
LOSES, LIMITS = Effect.LOSES, Effect.LIMITS


def _effects(queue: str, **definition: Any) -> dict[str, Effect]:
    held = Held("policy p", {key.replace("_", "-"): value for key, value in definition.items()})
    return {each.key: each.effect for each in on_queue(QUEUES[f"ci.{queue}"], held)}


@pytest.mark.parametrize(
    ("queue", "definition", "effects"),
    [
        ("runs.cancel", {"message_ttl": 60_000}, {"message-ttl": LOSES}),
        ("runs.queued", {"expires": 60_000}, {"expires": LOSES}),
        ("runs.cancel.rest", {"max_length": 10}, {"max-length": LIMITS}),
        ("runs.cancel", {"max_length": 10, "overflow": "reject-publish"}, {"max-length": LIMITS}),
        (
            "runs.cancel",
            {"max_length_bytes": 10, "overflow": "drop-head"},
            {"max-length-bytes": LOSES, "overflow": LOSES},
        ),
        ("runs.cancel", {"delivery_limit": 3}, {"delivery-limit": LIMITS}),
        ("runs.cancel", {"delivery_limit": 20}, {}),
        ("runs.cancel", {"delivery_limit": -1}, {}),
        ("runs.cancel.dead", {"message_ttl": 60_000}, {"message-ttl": LOSES}),
        ("runs.cancel.dead", {"max_length": 10}, {"max-length": LOSES}),
        (
            "runs.cancel.dead",
            {"max_length": 10, "overflow": "reject-publish"},
            {"max-length": LIMITS},
        ),
        ("runs.cancel.dead", {"delivery_limit": 30}, {"delivery-limit": LOSES}),
        ("runs.cancel.dead", {"delivery_limit": -1}, {}),
        ("runs.cancel.dead", {"overflow": "drop-head"}, {}),
        ("runs.cancel.retry.5s", {"message_ttl": 4_999}, {"message-ttl": LIMITS}),
        ("runs.cancel.retry.5s", {"message_ttl": 5_000, "delivery_limit": 3}, {}),
        ("runs.cancel.rest.retry.1s", {"expires": 60_000}, {"expires": LOSES}),
        # Our arguments take precedence, or it is about where the queue is.
        (
            "runs.cancel",
            {
                "dead_letter_exchange": "theirs",
                "dead_letter_strategy": "at-most-once",
                "queue_leader_locator": "balanced",
                "ha_mode": "all",
            },
            {},
        ),
    ],
)
def test_what_a_policy_does_to_a_queue(
    queue: str, definition: dict[str, Any], effects: dict[str, Effect]
) -> None:
    assert _effects(queue, **definition) == effects


def test_an_alternate_exchange_makes_a_confirm_worthless() -> None:
    (found,) = on_commands(Held("policy p", {"alternate-exchange": "theirs"}))
    assert (found.queue, found.effect) == ("runs.commands", LOSES)
    assert on_commands(Held("policy p", {"federation-upstream-set": "all"})) == []


def test_every_durable_queue_is_looked_at_under_a_name_without_the_prefix() -> None:
    assert {queue.name for queue in QUEUES.values()} == {name[3:] for name in QUEUES}
    assert set(QUEUES) == set(Topology("ci.").queues())
