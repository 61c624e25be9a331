"""The routing keys of commands and registrations."""

from typing import Final

CANCEL_KEY: Final = "run.cancel"
"""Routing key of publishers and of replays."""
REST_KEY: Final = "run.cancel.rest"
"""Routing key of the gateway. Its commands have their own queues, including the retry queues, so
that they never wait behind a flood from a publisher."""
QUEUED_KEY: Final = "run.queued"
"""Routing key of registrations."""
