"""The order in which the nodes of a cluster are tried."""

from collections import Counter
from typing import cast

import pytest
from aio_pika.abc import AbstractConnection
from yarl import URL

from shared.amqp.connecting.nodes import Nodes
from shared.configuration.amqp_url import parse


async def test_each_node_is_the_first_to_be_tried_about_equally_often() -> None:
    tried: list[str] = []

    async def refused(url: URL, timeout: float) -> AbstractConnection:
        assert timeout == 2
        tried.append(str(url.host))
        raise ConnectionRefusedError(111, "[Errno 111]")

    first: Counter[str] = Counter()
    for _ in range(300):
        tried.clear()
        with pytest.raises(ConnectionError, match=r"^[abc], [abc], [abc]: connection refused$"):
            await Nodes(parse("amqp://a,b,c/"), refused).connect(6)
        first[tried[0]] += 1
        assert sorted(tried) == ["a", "b", "c"]

    assert min(first[node] for node in "abc") > 50  # 100, with a deviation of 8


async def test_the_node_of_the_lost_connection_is_last_though_others_were_away_before() -> None:
    away = {"b", "c"}
    tried: list[str] = []

    async def connect(url: URL, timeout: float) -> AbstractConnection:
        tried.append(str(url.host))
        if url.host in away:
            raise ConnectionRefusedError(111, "[Errno 111]")
        return cast(AbstractConnection, object())

    for _ in range(100):  # the order is random: 1 of 9 would fail
        away.update("bc")
        nodes = Nodes(parse("amqp://a,b,c/"), connect)
        await nodes.connect(6)
        away.clear()
        tried.clear()
        await nodes.connect(6)

        assert tried in (["b"], ["c"])
