"""What the checks of one body cost: the worker does nothing else meanwhile."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from uuid import uuid4

import pytest

from worker.docker.proxy.limits import Limits
from worker.docker.rules import go_json
from worker.docker.rules.host_access import HostAccess
from worker.docker.rules.host_paths import HostPaths
from worker.docker.rules.marks import mark_container
from worker.docker.rules.refused import Refused
from worker.docker.scope import Scope

_SCOPE = Scope(1, uuid4(), "/runs")
_AFFORDABLE = 30
"""How many times as long as json.loads of the same body; 3 to 8 times is what it takes. A check
that compared each key, or each entry, with all others would take some 1,000 times as long."""


@pytest.fixture
def quiet_collector() -> Iterator[None]:
    """The collector passes over what exists already, as in a worker (shared/lifecycle.py).

    Else a check that happens to begin a full collection pays for all objects of all tests before.
    """
    gc.freeze()
    yield
    gc.unfreeze()


def _check(body: bytes) -> None:
    config = go_json.parse(body)
    host_config = config.nested("HostConfig")
    rules = HostAccess(HostPaths(Path("/srv/engine.sock"), Path("/srv/own.sock")))
    rules.check_container(host_config)
    mark_container(config, host_config, _SCOPE)
    go_json.encode(config)


def _as_large_as_possible(before: bytes, entry: bytes, after: bytes) -> bytes:
    number = (Limits().body_size - len(before) - len(after)) // (len(entry) + 1)
    return before + b",".join([entry] * number) + after


def _many_keys(before: bytes, after: bytes) -> bytes:
    keys = b",".join(b'"%x":0' % number for number in range(90_000))
    assert len(keys) < Limits().body_size
    return before + b"{" + keys + b"}" + after


@pytest.mark.parametrize(
    "body",
    [
        _many_keys(b"", b""),
        _many_keys(b'{"HostConfig":', b"}"),
        _many_keys(b'{"Labels":', b"}"),
        _as_large_as_possible(b'{"HostConfig":{"Binds":[', b'"/a:b"', b"]}}"),
        _as_large_as_possible(b'{"HostConfig":{"Mounts":[', b'{"Source":"/a/b"}', b"]}}"),
        json.dumps({"HostConfig": {"Binds": ["/a" * 400_000 + ":b"]}}).encode(),
    ],
    ids=["keys", "keys of HostConfig", "labels", "binds", "mounts", "a long path"],
)
@pytest.mark.usefixtures("quiet_collector")
def test_a_body_made_to_be_slow_is_checked_soon(body: bytes) -> None:
    # Side by side, as processors differ; the least of a few, as other work disturbs them.
    assert min(_times_as_long_as_loads(body) for _ in range(3)) < _AFFORDABLE


def _times_as_long_as_loads(body: bytes) -> float:
    began = process_time()
    json.loads(body)
    loaded = process_time()
    try:
        _check(body)
    except Refused as refused:
        assert refused.status == 400
    return (process_time() - loaded) / (loaded - began)
