"""Proxies between each group of programs and each server."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from yarl import URL

from tools.support.proxy import TcpProxy

GROUPS: Final = ("workers", "gateways")


class Service(StrEnum):
    POSTGRES = "postgres"
    RABBIT = "rabbit"


class Network:
    def __init__(
        self, rabbit: Sequence[str], postgres: Sequence[str], *, one_address: bool = False
    ) -> None:
        """The URLs of each node, each of which has a proxy of its own.

        `one_address`: one proxy leads to all of a service, to the Postgres that it prefers or to
        the first node of RabbitMQ that accepts, as a balancer does.
        """
        self._postgres = tuple(postgres)
        nodes = {Service.POSTGRES: self._postgres, Service.RABBIT: tuple(rabbit)}
        self._proxies = {
            (group, service): [TcpProxy(*urls)] if one_address else [TcpProxy(url) for url in urls]
            for group in GROUPS
            for service, urls in nodes.items()
        }
        # The load's own: no fault stands between it and the broker.
        self._unbroken = TcpProxy(*rabbit)

    async def start(self) -> None:
        for proxy in (*self._all(), self._unbroken):
            await proxy.listen()

    def between(self, group: str, service: Service) -> list[TcpProxy]:
        """The proxies between these programs and each server of the service."""
        return self._proxies[group, service]

    @property
    def publishers_url(self) -> str:
        return self._unbroken.proxied

    def broker_url(self, group: str) -> str:
        """With several hosts, if each has a proxy."""
        return self._url("amqp", self._proxies[group, Service.RABBIT])

    def database_url(self, group: str) -> str:
        """With several hosts, if each has a proxy."""
        proxies = self._proxies[group, Service.POSTGRES]
        options = "?target_session_attrs=read-write" if len(proxies) > 1 else ""
        return self._url("postgresql", proxies) + options

    def prefer(self, primary: str) -> None:
        """Lead new connections to this Postgres, where one address is to follow the primary."""
        for group in GROUPS:
            proxies = self._proxies[group, Service.POSTGRES]
            if len(proxies) < len(self._postgres):
                proxies[0].prefer(primary)

    def restore(self) -> None:
        for proxy in self._all():
            proxy.accept()
            proxy.resume()

    async def close(self) -> None:
        for proxy in (*self._all(), self._unbroken):
            await proxy.close()

    def _all(self) -> list[TcpProxy]:
        return [proxy for proxies in self._proxies.values() for proxy in proxies]

    @staticmethod
    def _url(scheme: str, proxies: Sequence[TcpProxy]) -> str:
        first = URL(proxies[0].proxied)
        hosts = ",".join(f"127.0.0.1:{proxy.port}" for proxy in proxies)
        return f"{scheme}://{first.raw_user}:{first.raw_password}@{hosts}{first.path}"
