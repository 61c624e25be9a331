"""A proxy in front of each service for each group of programs; a balancer where it has nodes."""

from collections.abc import Sequence
from typing import Final

from yarl import URL

from tools.support.proxy import TcpProxy

GROUPS: Final = ("workers", "gateways")


class Network:
    def __init__(
        self, rabbit: Sequence[str], postgres: Sequence[str], *, one_address: bool = False
    ) -> None:
        """The URLs of each node. `one_address`: one proxy leads to whichever Postgres it prefers.

        Otherwise, each Postgres has a proxy of its own.
        """
        if one_address or len(postgres) == 1:
            self._databases = {"postgres": tuple(postgres)}
        else:
            self._databases = {f"postgres {n}": (url,) for n, url in enumerate(postgres, 1)}
        services = {"rabbit": tuple(rabbit), **self._databases}
        self.proxies = {
            (group, service): TcpProxy(*urls)
            for group in GROUPS
            for service, urls in services.items()
        }
        # The load's own: no fault stands between it and the broker.
        self._unbroken = TcpProxy(*rabbit)

    async def start(self) -> None:
        for proxy in (*self.proxies.values(), self._unbroken):
            await proxy.listen()

    @property
    def publishers_url(self) -> str:
        return self._unbroken.proxied

    def broker_url(self, group: str) -> str:
        return self.proxies[group, "rabbit"].proxied

    def database_url(self, group: str) -> str:
        """With several hosts, if each has a proxy."""
        proxies = [self.proxies[group, service] for service in self._databases]
        first = URL(proxies[0].proxied)
        hosts = ",".join(f"127.0.0.1:{proxy.port}" for proxy in proxies)
        options = "?target_session_attrs=read-write" if len(proxies) > 1 else ""
        return f"postgresql://{first.user}:{first.password}@{hosts}{first.path}{options}"

    def prefer(self, primary: str) -> None:
        """Lead new connections to this Postgres, where one address is to follow the primary."""
        for (_, service), proxy in self.proxies.items():
            if len(self._databases.get(service, ())) > 1:
                proxy.prefer(primary)

    def restore(self) -> None:
        for proxy in self.proxies.values():
            proxy.accept()
            proxy.resume()

    async def close(self) -> None:
        for proxy in (*self.proxies.values(), self._unbroken):
            await proxy.close()
