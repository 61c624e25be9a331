"""compose.yaml as the plugin reads it: what is missing is named, and nothing is open or unbound."""

import json
import re
import shlex
from typing import Any

import pytest
from yarl import URL

from shared.amqp.topology import Topology
from tests.support.repository.documents import ROOT, code_block, permissions
from tools.support.compose import PASSWORDS, has_plugin, new_passwords, read_configuration

Json = dict[str, Any]

pytestmark = pytest.mark.skipif(not has_plugin(), reason="no docker compose here")


@pytest.fixture(scope="module")
def configuration() -> Json:
    """With the services that only start on demand."""
    command = ("--format", "json")
    code, output, errors = read_configuration(
        {**new_passwords(), "COMPOSE_PROFILES": "*"}, *command
    )
    assert code == 0, errors
    found: Json = json.loads(output)
    return found


@pytest.fixture(scope="module")
def services(configuration: Json) -> dict[str, Json]:
    found: dict[str, Json] = configuration["services"]
    return found


@pytest.fixture(scope="module")
def one_shot(services: dict[str, Json]) -> set[str]:
    """Services that others wait for the end of, and those that operators run."""
    awaited = {
        name
        for service in services.values()
        for name, needed in service.get("depends_on", {}).items()
        if needed["condition"] == "service_completed_successfully"
    }
    return awaited | {name for name, service in services.items() if service.get("profiles")}


@pytest.mark.parametrize("missing", PASSWORDS)
def test_a_missing_password_is_named(missing: str) -> None:
    given = {name: value for name, value in new_passwords().items() if name != missing}

    code, output, errors = read_configuration(given)

    assert code != 0
    assert missing in errors
    assert not any(value in output + errors for value in given.values())


def test_every_service_is_watched_or_ends(services: dict[str, Json], one_shot: set[str]) -> None:
    assert set(services) - one_shot == {"postgres", "rabbitmq", "gateway", "console", "worker"}
    for name, service in services.items():
        if name in one_shot:
            assert service["restart"] == "no", name
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"], name


def test_ports_are_published_on_loopback_alone(services: dict[str, Json]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert set(published) == {"postgres", "rabbitmq", "gateway", "console"}
    for ports in published.values():
        assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_every_service_has_limits_and_no_more_privileges_than_named(
    services: dict[str, Json],
) -> None:
    for name, service in services.items():
        assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"]), name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name


def test_images_that_are_not_built_are_pinned(services: dict[str, Json]) -> None:
    images = {
        service["image"]
        for name, service in services.items()
        if "build" not in service and name != "ops"
    }

    assert images == {"postgres:17", "rabbitmq:4-management"}


def test_only_the_worker_may_touch_a_cgroup_and_its_credentials_stay_hidden(
    services: dict[str, Json],
) -> None:
    may = {name for name, it in services.items() if "SYS_ADMIN" in it.get("cap_add", ())}

    assert may == {"worker"}
    # Whatever is started in its container inherits its environment, jobs included.
    assert not {"DATABASE_URL", "AMQP_URL"} & set(services["worker"]["environment"])
    assert {config["mode"] for config in services["worker"]["configs"]} == {0o400}


def test_the_workers_password_is_in_a_file_of_its_own(configuration: Json) -> None:
    configs = configuration["services"]["worker"]["configs"]
    given = {
        config["target"].rpartition("/")[2]: configuration["configs"][config["source"]]["content"]
        for config in configs
    }

    assert given.keys() == {"database_url", "amqp_url", "password"}
    for name in ("database_url", "amqp_url"):
        assert URL(given[name]).user == "worker"
        assert URL(given[name]).password is None
    assert given["password"]
    # The entrypoint has the worker read it, and no job: only root may.
    entrypoint = (ROOT / "deploy/docker/worker-entrypoint").read_text()
    for name in ("DATABASE", "AMQP"):
        assert f"{name}_PASSWORD_FILE=/run/secrets/password" in entrypoint


def test_broker_users_are_those_of_the_readme(configuration: Json) -> None:
    users = json.loads(configuration["configs"]["rabbitmq-users"]["content"].replace("$$", "$"))
    keys = {it["user"]: (it["write"], it["read"]) for it in users["topic_permissions"]}
    allowed = {
        it["user"]: (it["configure"], it["write"], it["read"], *keys[it["user"]])
        for it in users["permissions"]
    }

    documented = permissions()
    assert {it["exchange"] for it in users["topic_permissions"]} == {"runs.commands"}
    # Runs are registered and events are read by other ways there; an operator replays both kinds of
    # dead letters.
    del documented["platform"], documented["consumer"]
    ops = documented["publisher"]._replace(publish=r"^run\.(cancel|queued)$")
    assert allowed == {**documented, "ops": ops}
    assert {user["name"] for user in users["users"]} == set(allowed)
    # Whoever has `administrator` may give himself every permission.
    assert {user["tags"] for user in users["users"]} == {"", "monitoring"}


def test_dead_letters_have_the_policy_of_the_document(configuration: Json) -> None:
    users = json.loads(configuration["configs"]["rabbitmq-users"]["content"].replace("$$", "$"))
    (it,) = users["policies"]

    assert shlex.split(code_block("sh dead-letters")) == [
        *("rabbitmqctl", "set_policy", "--apply-to", it["apply-to"]),
        *(it["name"], it["pattern"], json.dumps(it["definition"])),
    ]
    assert re.search(it["pattern"], Topology().dead)
    assert not [name for name in Topology().queues()[:3] if re.search(it["pattern"], name)]


def test_the_worker_believes_the_gateways_user(services: dict[str, Json]) -> None:
    environment = services["worker"]["environment"]
    gateway = re.match(r"amqp://(\w+):", services["gateway"]["environment"]["AMQP_URL"])

    assert gateway is not None
    assert environment["CANCEL_GATEWAY_USER"] == gateway[1]
    assert environment["CANCEL_TRUSTED_PUBLISHERS"] == "ops"
