"""A proxy in front of each service for each group of programs."""

from tests.support.proxy import TcpProxy

GROUPS = ("workers", "gateways")
SERVICES = ("rabbit", "postgres")


class Network:
    def __init__(self, urls: dict[str, str]) -> None:
        self.proxies = {
            (group, service): TcpProxy(urls[service]) for group in GROUPS for service in SERVICES
        }

    async def start(self) -> None:
        for proxy in self.proxies.values():
            await proxy.listen()

    def url(self, group: str, service: str) -> str:
        return self.proxies[group, service].proxied

    def restore(self) -> None:
        for proxy in self.proxies.values():
            proxy.accept()
            proxy.resume()

    async def close(self) -> None:
        for proxy in self.proxies.values():
            await proxy.close()
