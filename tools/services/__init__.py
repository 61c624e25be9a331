"""Postgres and RabbitMQ for tests, demo and benchmarks, from whatever the machine offers.

``provide()`` walks the ladder; ``PrivatePostgres`` and ``PrivateRabbit`` give one server alone
that a test may stop, kill and start again, ``ContainerPostgres`` and ``ContainerRabbit`` one of the
image, a ``Cluster`` three brokers that are one, and ``PrivatePair`` a Postgres with its standby.
"""

from tools.services.cluster.cluster import Alarm, Cluster
from tools.services.cluster.containers import container_cluster
from tools.services.cluster.native import NativeCluster, native_cluster
from tools.services.containers.postgres import ContainerPostgres
from tools.services.containers.rabbitmq import ContainerRabbit
from tools.services.ladder import provide
from tools.services.model import ServerFailed, Services, ServicesUnavailable
from tools.services.native.postgres import PrivatePostgres
from tools.services.native.rabbitmq import PrivateRabbit
from tools.services.native.replication import PrivatePair, Replication, private_pair
from tools.services.sandbox import Sandbox

__all__ = [
    "Alarm",
    "Cluster",
    "ContainerPostgres",
    "ContainerRabbit",
    "NativeCluster",
    "PrivatePair",
    "PrivatePostgres",
    "PrivateRabbit",
    "Replication",
    "Sandbox",
    "ServerFailed",
    "Services",
    "ServicesUnavailable",
    "container_cluster",
    "native_cluster",
    "private_pair",
    "provide",
]
