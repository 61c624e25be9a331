"""Errors that cross a module's border."""


class ServiceUnavailable(Exception):
    """Postgres or RabbitMQ cannot be reached or cannot answer now; trying again is safe."""


class PublishRefused(Exception):
    """The broker said no: nothing was queued (negative confirm, or no queue for the message)."""


class Unroutable(PublishRefused):
    """No queue is bound for the message."""


class NotDeclared(Exception):
    """An exchange or a queue that workers declare is not there."""


class PublishUnknown(ServiceUnavailable):
    """The confirm did not come in time: the message may or may not have been queued."""
