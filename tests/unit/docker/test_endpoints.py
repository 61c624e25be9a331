"""What a request can do is told from its method and its path, as the engine reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.docker.rules.endpoints import Action, find
from worker.docker.rules.refused import Refused
from worker.docker.rules.targets import parse


def _action(method: str, target: str) -> Action:
    return find(method, parse(target.encode())).action


@pytest.mark.parametrize(
    ("method", "target", "action"),
    [
        ("GET", "/_ping", Action.PASS),
        ("HEAD", "/_ping", Action.PASS),
        ("GET", "/v1.41/whatever/comes", Action.PASS),
        ("POST", "/v1.41/containers/create?name=a", Action.CREATE_CONTAINER),
        ("POST", "/containers/%63reate", Action.CREATE_CONTAINER),
        ("POST", "/containers%2Fcreate", Action.CREATE_CONTAINER),
        ("POST", "/%761.41/containers/create", Action.CREATE_CONTAINER),
        ("POST", "/v1.41/containers/abc/start", Action.START),
        ("POST", "/containers/abc/restart?t=1", Action.CHANGE),
        ("POST", "/containers/abc/update", Action.CHANGE),
        ("POST", "/containers/abc/pause", Action.CHANGE),
        ("POST", "/containers/abc/unpause", Action.CHANGE),
        ("POST", "/containers/abc/rename?name=b", Action.CHANGE),
        ("POST", "/containers/abc/exec", Action.CREATE_EXEC),
        ("POST", "/exec/abc/start", Action.START_EXEC),
        ("POST", "/networks/create", Action.CREATE_NETWORK),
        ("POST", "/volumes/create", Action.CREATE_VOLUME),
        ("POST", "/build?t=a", Action.BUILD),
        ("POST", "/build/prune", Action.PASS),
        ("POST", "/build/cancel", Action.PASS),
        ("POST", "/session", Action.BUILDKIT),
        ("POST", "/grpc", Action.BUILDKIT),
        ("POST", "/containers/abc/stop", Action.PASS),
        ("POST", "/containers/abc/kill", Action.PASS),
        ("POST", "/containers/abc/checkpoints", Action.PASS),
        ("POST", "/images/a/b/c:d/push", Action.PASS),
        ("DELETE", "/images/a%2Fb:c", Action.PASS),
        ("PUT", "/containers/abc/archive?path=/", Action.COPY),
    ],
)
def test_requests_are_told_apart(method: str, target: str, action: Action) -> None:
    assert _action(method, target) is action


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/swarm/init"),
        ("POST", "/services/create"),
        ("POST", "/services/abc/update"),
        ("POST", "/nodes/abc/update"),
        ("POST", "/secrets/create"),
        ("POST", "/configs/create"),
        ("POST", "/plugins/pull"),
        ("POST", "/plugins/abc/enable"),
        ("POST", "/libpod/containers/create"),
        ("POST", "/v4.0.0/libpod/pods/create"),
        ("POST", "/v1.41/v1.41/containers/create"),
        ("POST", "/containers/create/"),
        ("POST", "/containers/a/b/start"),
        ("POST", "/Containers/create"),
        ("post", "/containers/create"),
        ("PUT", "/volumes/abc"),
        ("PATCH", "/info"),
    ],
)
def test_what_might_start_something_is_refused(method: str, target: str) -> None:
    with pytest.raises(Refused, match="not supported through this socket") as refused:
        _action(method, target)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    "target",
    [
        "//containers/create",
        "/containers//create",
        "/containers/./create",
        "/x/../containers/create",
        "/x/%2e%2e/containers/create",
        "/containers/%2Fcreate",
        "/containers/create%00",
        "/containers/create%0a",
        "/containers/create%zz",
        "/containers/create#x",
        "/containers/create?x#y",
        "/containers/create%ff",
        "containers/create",
        "http://docker/containers/create",
        "docker:80",
        "*",
        "",
        "/a\\b",
    ],
)
def test_unclean_targets_are_refused(target: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(target.encode())
    assert refused.value.status == 400


@given(st.binary(max_size=40))
def test_every_target_is_parsed_or_refused(target: bytes) -> None:
    try:
        parsed = parse(b"/" + target)
    except Refused as refused:
        assert refused.status == 400
    else:
        assert parsed.path.startswith("/")
        assert "//" not in parsed.path


def test_only_these_switch_to_another_protocol() -> None:
    for method, path, protocol in (
        ("POST", "/containers/a/attach", "tcp"),
        ("GET", "/containers/a/attach/ws", "websocket"),
        ("POST", "/exec/a/start", "tcp"),
        ("POST", "/session", "h2c"),
        ("POST", "/grpc", "h2c"),
        ("GET", "/info", None),
        ("POST", "/containers/create", None),
        ("POST", "/build", None),
    ):
        assert find(method, parse(path.encode())).upgrade == protocol
