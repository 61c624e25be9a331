"""A proxy in front of each service for each group of programs; a balancer where it has nodes."""

from tools.support.proxy import TcpProxy

GROUPS = ("workers", "gateways")
SERVICES = ("rabbit", "postgres")


class Network:
    def __init__(self, urls: dict[str, tuple[str, ...]]) -> None:
        self.proxies = {
            (group, service): TcpProxy(*urls[service]) for group in GROUPS for service in SERVICES
        }
        # The load's own: no fault stands between it and the broker.
        self._unbroken = TcpProxy(*urls["rabbit"])

    async def start(self) -> None:
        for proxy in (*self.proxies.values(), self._unbroken):
            await proxy.listen()

    @property
    def publishers_url(self) -> str:
        return self._unbroken.proxied

    def url(self, group: str, service: str) -> str:
        return self.proxies[group, service].proxied

    def restore(self) -> None:
        for proxy in self.proxies.values():
            proxy.accept()
            proxy.resume()

    async def close(self) -> None:
        for proxy in (*self.proxies.values(), self._unbroken):
            await proxy.close()
