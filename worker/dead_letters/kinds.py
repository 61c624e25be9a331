"""What a dead letter asked for: to cancel a run, or to register one."""

from shared.amqp.topology import QUEUED_KEY


def is_registration(routing_key: str) -> bool:
    """Whether a letter that was first published with `routing_key` is a registration.

    The key decides, because the type may be what is wrong. The trigger that writes the event of a
    letter decides in the same way.
    """
    return routing_key == QUEUED_KEY


def kind_of(routing_key: str) -> str:
    return "registration" if is_registration(routing_key) else "cancel"
