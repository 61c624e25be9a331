"""A name can be that of another container by the time the engine looks it up."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.docker.proxied import Answer, proxied
from tests.support.docker.scripted_engine import EngineSide, scripted


async def _echo(engine: EngineSide) -> None:
    """Answers with the head and the body that it got."""
    while head := await engine.head():
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        await engine.answer(head + await engine.reader.readexactly(length))


async def _ask(directory: Path, target: str, body: bytes, own: str) -> Answer:
    async with scripted(directory, _echo) as engine, proxied(directory, engine.path) as job:
        job.run.containers = {own: True, "foreign": False}
        return await job.ask("POST", target, body, Content_Type="application/json")


@pytest.mark.parametrize("name", ["web", "c", "containers", "start", "v1.41"])
@pytest.mark.parametrize("verb", ["start", "restart", "update", "exec", "unpause"])
@pytest.mark.parametrize(
    ("version", "query"), [("", ""), ("/v1.41", "?t=1&signal=a%2Fb"), ("/v1%2E41", "?")]
)
async def test_the_engine_is_asked_by_the_id_that_was_checked(
    tmp_path: Path, name: str, verb: str, version: str, query: str
) -> None:
    target = f"{version}/containers/{name}/{verb}{query}"
    answered = await _ask(tmp_path, target, b"{}", name)
    sent = f"{version.replace('%2E', '.')}/containers/id-of-{name}/{verb}{query}"
    assert answered.body.splitlines()[0] == f"POST {sent} HTTP/1.1".encode()


async def test_volumes_and_pids_of_a_container_are_taken_by_its_id(tmp_path: Path) -> None:
    host_config = {"VolumesFrom": ["web", "web:ro"], "PidMode": "container:web"}
    body = json.dumps({"HostConfig": host_config}).encode()
    answered = await _ask(tmp_path, "/containers/create", body, "web")
    sent: dict[str, Any] = json.loads(answered.body.partition(b"\r\n\r\n")[2])["HostConfig"]
    assert sent["VolumesFrom"] == ["id-of-web", "id-of-web:ro"]
    assert sent["PidMode"] == "container:id-of-web"


@pytest.mark.parametrize("host_config", [{"PidMode": "container:foreign"},
                                         {"pidmode": "Container:foreign"},
                                         {"VolumesFrom": ["foreign:ro"]}])  # fmt: skip
async def test_a_container_of_others_may_have_the_namespace_of_the_host(
    tmp_path: Path, host_config: dict[str, Any]
) -> None:
    body = json.dumps({"HostConfig": host_config}).encode()
    answered = await _ask(tmp_path, "/containers/create", body, "web")
    assert (answered.status, b"was not started by this run" in answered.body) == (403, True)


async def test_a_link_to_a_container_of_others_is_no_way_into_it(tmp_path: Path) -> None:
    """With `--link foreign:v1`, the engine has it as `web/v1`; versions look like the alias."""
    answered = await _ask(tmp_path, "/containers/web/v1/start", b"", "web")
    assert (answered.status, b"not supported" in answered.body) == (403, True)


async def test_a_name_that_nothing_has_yet_is_not_passed_on(tmp_path: Path) -> None:
    answered = await _ask(tmp_path, "/containers/later/start", b"", "web")
    assert (answered.status, answered.body) == (
        404,
        b'{"message": "run-cancel: No such container: later"}\n',
    )


@pytest.mark.parametrize(
    ("method", "name", "status"),
    [("GET", "web", 200), ("PUT", "web", 200), ("GET", "foreign", 404), ("PUT", "foreign", 404)],
)
async def test_files_are_copied_from_and_to_containers_of_the_run_alone(
    tmp_path: Path, method: str, name: str, status: int
) -> None:
    """While they are, the engine answers nothing about that container, and its run cannot end."""
    async with scripted(tmp_path, _echo) as engine, proxied(tmp_path, engine.path) as job:
        job.run.containers = {"web": True, "foreign": False}
        asked = await job.ask(method, f"/containers/{name}/archive?path=/", b"")
    assert asked.status == status
    if status == 200:
        assert b"/containers/id-of-web/archive?path=/ " in asked.body
