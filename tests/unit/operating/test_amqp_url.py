"""AMQP_URL: one node or several, and nothing of it in a message."""

import pytest

from shared.configuration.amqp_url import parse
from shared.configuration.hosts import ENCODE
from shared.services.urls import without_password

SECRET = "open-sesame"
U = f"amqp://ci:{SECRET}@"

NODES = {
    f"{U}mq/": [f"{U}mq/"],
    f"{U}mq": [f"{U}mq"],
    f"{U}a:1,b/v?auth=external": [f"{U}a:1/v?auth=external", f"{U}b/v?auth=external"],
    f"{U}a:1,[::1]:2,[fd00::3]/%2F": [f"{U}a:1/%2F", f"{U}[::1]:2/%2F", f"{U}[fd00::3]/%2F"],
    "amqps://a,b": ["amqps://a", "amqps://b"],
    f"amqp://ci:1,{SECRET}@a,b/": [f"amqp://ci:1,{SECRET}@a/", f"amqp://ci:1,{SECRET}@b/"],
}


@pytest.mark.parametrize(("url", "urls"), NODES.items())
def test_each_node_has_the_user_the_virtual_host_and_the_parameters(
    url: str, urls: list[str]
) -> None:
    found = parse(url)

    assert [found.of(node) for node in found.nodes] == urls


def test_its_user_is_known_even_if_it_is_the_usual_one() -> None:
    assert parse(f"amqp://c%40i:{SECRET}@a,b").user == "c@i"
    assert parse("amqp://a,b").user == "guest"


WRONG = {
    "": "must start with amqp:// or amqps://",
    f"http://ci:{SECRET}@mq/": "must start with amqp:// or amqps://",
    "amqp://": "must name a host",
    f"{U}/vhost": "must name a host",
    # A bare / # ? @ or [ in a password.
    f"amqp://ci:1/{SECRET}@mq/": ENCODE,
    f"amqp://ci:1#{SECRET}@mq/": ENCODE,
    f"amqp://ci:1?{SECRET}@mq/": ENCODE,
    f"amqp://ci:1@{SECRET}@mq/": ENCODE,
    f"amqp://ci:1[{SECRET}@mq/": ENCODE,
    f"amqp://mq/v#{SECRET}": ENCODE,
    f"amqp://ci@mq/?password={SECRET}": "before the host",
    f"{U}a,ci:{SECRET}@b/": "user and password once, before the first host",
    f"{U}mq:port/": "port that is not a number from 1 to 65535",
    f"{U}a:1,b:99999/": "port that is not a number from 1 to 65535",
    f"{U}a,,b/": "host without a name",
    f"{U}a,/": "host without a name",
    f"{U}:5672/": "host without a name",
    f"{U}a, b/": "space in its name",
    f"{U}a,::1/": "IPv6 address in brackets",
    f"{U}[x:y]/": "neither a name nor an address",
}


@pytest.mark.parametrize(("url", "complaint"), WRONG.items())
def test_what_is_wrong_with_it_is_said_without_a_quotation(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        parse(url)

    assert complaint in str(refused.value)
    assert SECRET not in str(refused.value)


def test_it_is_shown_without_the_password() -> None:
    assert without_password(f"{U}a:1,b:2/v") == "amqp://ci:***@a:1,b:2/v"
    assert without_password(f"amqp://ci:1,{SECRET}@a,b") == "amqp://ci:***@a,b"


def test_its_repr_hides_the_password() -> None:
    assert SECRET not in repr(parse(f"amqp://ci:{SECRET}@a:1,b:2/v"))
