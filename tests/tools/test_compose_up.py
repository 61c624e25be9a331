"""`make up` takes compose only where nothing else was asked for."""

import json
from pathlib import Path

import pytest

from tools.demo import compose_up
from tools.demo.screen import Screen
from tools.support.compose import Stack


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


async def test_cancels_and_ends_of_containers_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = [
        "the entrypoint speaks",
        json.dumps({"event": "command_settled", "run_id": 7, "result": "canceled"}),
        "\x1b[2K"
        + json.dumps({"event": "command_dead_lettered", "run_id": 8, "reason": "unknown_run"}),
    ]
    ends = [
        json.dumps({"action": action, "service": service, "attributes": {"exitCode": "137"}})
        for action, service in (("die", "gateway"), ("start", "worker"), ("die", "ops"))
    ]
    for name, lines in (("logs", log), ("events", ends)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    docker = tmp_path / "docker"
    docker.write_text(
        f'#!/bin/sh\ncase "$*" in *logs*) cat {tmp_path}/logs;; *) cat {tmp_path}/events;; esac\n'
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    await compose_up.follow(Stack(), Screen())

    told = capsys.readouterr().out
    assert "cancel of run 7: canceled" in told
    assert "cancel of run 8: dead letter, unknown_run" in told
    assert "the container of gateway ended: exit code 137" in told
    assert told.count("ended") == 1
