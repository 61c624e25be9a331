"""Postgres and RabbitMQ for tests, demo and benchmarks, from whatever the machine offers.

``provide()`` walks the ladder; ``PrivatePostgres`` and ``PrivateRabbit`` give one server alone
that a test may stop, kill and start again, and ``PrivateCluster`` three brokers that are one.
"""

from tests.support.services.ladder import provide
from tests.support.services.model import ServerFailed, Services, ServicesUnavailable
from tests.support.services.native_postgres import PrivatePostgres
from tests.support.services.native_rabbitmq import PrivateRabbit
from tests.support.services.rabbit_cluster import PrivateCluster, private_cluster
from tests.support.services.sandbox import Sandbox

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
