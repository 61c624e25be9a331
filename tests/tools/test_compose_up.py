"""`make up` takes compose only where nothing else was asked for."""

import pytest

from tools.demo import compose_up
from tools.demo.screen import Screen


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVICES", "DATABASE_URL", "AMQP_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(compose_up, "has_engine", lambda: True)
    monkeypatch.setattr(compose_up, "missing_images", list)


def test_an_engine_is_used() -> None:
    assert compose_up.applies(Screen())


@pytest.mark.parametrize(
    "asked",
    [
        {"SERVICES": "native"},
        {"DATABASE_URL": "postgresql://db", "AMQP_URL": "amqp://broker"},
    ],
)
def test_what_was_asked_for_goes_first(
    asked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in asked.items():
        monkeypatch.setenv(name, value)

    assert not compose_up.applies(Screen())


def test_an_engine_without_images_is_left_aside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compose_up, "missing_images", lambda: ["postgres:17"])

    assert not compose_up.applies(Screen())
    assert "cannot pull postgres:17" in capsys.readouterr().out
