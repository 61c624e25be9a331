"""What operators' commands and pages publish with."""

from dataclasses import dataclass

from shared.amqp.publisher import Publisher
from shared.amqp.topology import Topology
from shared.postgres.database import Database


@dataclass(frozen=True, slots=True)
class Publishing:
    database: Database
    publisher: Publisher
    topology: Topology
    broker_user: str
