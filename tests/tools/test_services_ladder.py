"""The services ladder and its choices."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tools.services import Services, ServicesUnavailable, ladder
from tools.services.containers import servers as containers
from tools.services.containers.engine import EngineUnreachable, ImagesUnavailable
from tools.services.model import Rung, hide_password
from tools.services.native import apt, servers

OURS = Services(database_url="postgresql://a", amqp_url="amqp://b", origin="ours")


@contextmanager
def _ours(*_: object) -> Iterator[Services]:
    yield OURS


def _raising(error: Exception) -> AbstractContextManager[Services]:
    raise error


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVICES", "DATABASE_URL", "AMQP_URL"):
        monkeypatch.delenv(name, raising=False)


class TestEnvironment:
    def test_both_urls_are_used_as_they_are(self) -> None:
        services = ladder.from_environment({"DATABASE_URL": "postgresql://x", "AMQP_URL": "amqp:"})
        assert services == Services("postgresql://x", "amqp:", "environment")

    def test_no_url_means_no_services(self) -> None:
        assert ladder.from_environment({"DATABASE_URL": ""}) is None

    @pytest.mark.parametrize(
        ("given", "missing"), [("DATABASE_URL", "AMQP_URL"), ("AMQP_URL", "DATABASE_URL")]
    )
    def test_one_url_alone_is_an_error_that_names_the_other(self, given: str, missing: str) -> None:
        with pytest.raises(ServicesUnavailable, match=f"{given} is set but {missing} is not"):
            ladder.from_environment({given: "x"})

    @pytest.mark.parametrize(
        ("value", "rung"),
        [("", None), ("native", Rung.NATIVE), ("containers", Rung.CONTAINERS)],
    )
    def test_a_rung_can_be_forced(self, value: str, rung: Rung | None) -> None:
        assert ladder.forced_rung({"SERVICES": value}) is rung

    def test_an_unknown_rung_is_an_error(self) -> None:
        with pytest.raises(ServicesUnavailable, match="containers or native, not 'docker'"):
            ladder.forced_rung({"SERVICES": "docker"})


@pytest.mark.usefixtures("bare_environment")
class TestLadder:
    def test_without_an_engine_it_goes_on_to_native_servers_in_silence(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines: list[str] = []
        monkeypatch.setattr(
            containers, "running_containers", lambda _: _raising(EngineUnreachable("none"))
        )
        monkeypatch.setattr(servers, "missing_packages", list)
        monkeypatch.setattr(servers, "private_servers", _ours)
        with ladder.provide(lines.append) as services:
            assert services is OURS
        assert lines == ["ours"]

    def test_images_that_cannot_be_had_are_told_in_one_line(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines: list[str] = []
        monkeypatch.setattr(
            containers,
            "running_containers",
            lambda _: _raising(ImagesUnavailable("no pull")),
        )
        monkeypatch.setattr(servers, "missing_packages", list)
        monkeypatch.setattr(servers, "private_servers", _ours)
        with ladder.provide(lines.append):
            pass
        assert lines == ["no pull; continuing with private native servers", "ours"]

    def test_forced_containers_accept_nothing_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SERVICES", "containers")
        monkeypatch.setattr(
            containers, "running_containers", lambda _: _raising(EngineUnreachable("none"))
        )
        with pytest.raises(EngineUnreachable), ladder.provide(lambda _: None):
            pass

    def test_missing_servers_are_named_where_they_cannot_be_installed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SERVICES", "native")
        monkeypatch.setattr(servers, "missing_packages", lambda: ["rabbitmq-server"])
        monkeypatch.setattr(apt, "can_install", lambda: False)
        with (
            pytest.raises(ServicesUnavailable, match=r"no rabbitmq-server here: install"),
            ladder.provide(lambda _: None),
        ):
            pass


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://u:secret@h:1/", "amqp://u:***@h:1/"),
        ("postgresql://u:p%40@w@h/db?x=1", "postgresql://u:***@h/db?x=1"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("amqp://h", "amqp://h"),
    ],
)
def test_a_password_is_hidden(url: str, shown: str) -> None:
    assert hide_password(url) == shown


def test_services_keep_passwords_out_of_their_repr() -> None:
    assert repr(Services("postgresql://u:secret@h/", "amqp://u:secret@h", "x")) == (
        "Services(origin='x')"
    )
