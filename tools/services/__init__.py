"""Postgres and RabbitMQ for tests, demo and benchmarks, from whatever the machine offers.

``provide()`` walks the ladder; ``PrivatePostgres`` and ``PrivateRabbit`` give one server alone
that a test may stop, kill and start again, and ``PrivateCluster`` three brokers that are one.
"""

from tools.services.ladder import provide
from tools.services.model import ServerFailed, Services, ServicesUnavailable
from tools.services.native.cluster import PrivateCluster, private_cluster
from tools.services.native.postgres import PrivatePostgres
from tools.services.native.rabbitmq import PrivateRabbit
from tools.services.sandbox import Sandbox

__all__ = [
    "PrivateCluster",
    "PrivatePostgres",
    "PrivateRabbit",
    "Sandbox",
    "ServerFailed",
    "Services",
    "ServicesUnavailable",
    "private_cluster",
    "provide",
]
