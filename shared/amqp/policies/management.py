"""RabbitMQ's management API, asked which policies hold.

https://www.rabbitmq.com/docs/http-api-reference. The tag `management` is enough, for a user who has
access to the virtual host.
"""

from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

import aiohttp
from pydantic import BaseModel, ValidationError
from yarl import URL

from shared.amqp.connecting.access import read_access
from shared.amqp.policies.effects import Held
from shared.configuration.settings import ServiceSettings
from shared.errors import ServiceUnavailable
from shared.services.reasons import network_reason

_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
"""Seconds."""
_COLUMNS: Final = "policy,operator_policy,effective_policy_definition"


_NOT_IT: Final = "CANCEL_RABBITMQ_MANAGEMENT_URL does not lead to RabbitMQ's management API"
_NO_STATISTICS: Final = (
    "RabbitMQ's management API does not say which policies hold for queues: its statistics are "
    "disabled (management.disable_stats, management_agent.disable_metrics_collector)"
)


class _Overview(BaseModel):
    disable_stats: bool = False


class _Exchange(BaseModel):
    policy: str | None = None


class _Queue(_Exchange):
    operator_policy: str | None = None
    effective_policy_definition: dict[str, Any] | list[Any] | None = None


class _Policy(BaseModel):
    name: str
    definition: dict[str, Any]


M = TypeVar("M", bound=BaseModel)


def _of(model: type[M], said: object) -> M:
    """Raises ServiceUnavailable. What has no fields comes as a list: Erlang cannot tell."""
    try:
        return model.model_validate(said or {})
    except ValidationError:
        raise ServiceUnavailable(_NOT_IT) from None


class Management:
    """One connection, for several questions."""

    def __init__(
        self, http: aiohttp.ClientSession, base: str, virtual_host: str, user: str
    ) -> None:
        """`base` is the URL of the API; `virtual_host` is encoded."""
        self._http = http
        self._base = base
        self._virtual_host = virtual_host
        self._user = user

    async def check_statistics(self) -> None:
        """Without statistics, each queue looks as if no policy held. Raises ServiceUnavailable."""
        if _of(_Overview, await self._ask("overview")).disable_stats:
            raise ServiceUnavailable(_NO_STATISTICS)

    async def on_queue(self, name: str) -> Held | None:
        """The policies of a queue; None without one, or without the queue.

        RabbitMQ takes this from its statistics, which are up to 5 s old. Raises ServiceUnavailable.
        """
        queue = _of(_Queue, await self._get("queues", name, f"?columns={_COLUMNS}"))
        if not isinstance(queue.effective_policy_definition, dict):
            return None
        named = (("policy", queue.policy), ("operator policy", queue.operator_policy))
        return Held(
            " and ".join(f"{kind} {name}" for kind, name in named if name),
            queue.effective_policy_definition,
        )

    async def on_exchange(self, name: str) -> Held | None:
        """The policy of an exchange; None without one. Raises ServiceUnavailable."""
        # All of them: for one alone, the API requires the tag policymaker.
        policies = await self._get("policies")
        if not isinstance(policies, list):  # a queue or exchange may be missing, this is not
            raise ServiceUnavailable(_NOT_IT)
        exchange = _of(_Exchange, await self._get("exchanges", name))
        for policy in (_of(_Policy, each) for each in policies):
            if policy.name == exchange.policy:
                return Held(f"policy {policy.name}", policy.definition)
        return None

    async def _get(self, kind: str, name: str | None = None, query: str = "") -> Any:
        """What the API says of things in our virtual host, or None if it has no such thing."""
        path = f"{kind}/{self._virtual_host}"
        return await self._ask(path if name is None else f"{path}/{quote(name, safe='')}{query}")

    async def _ask(self, path: str) -> Any:
        try:
            async with self._http.get(URL(f"{self._base}/{path}", encoded=True)) as answer:
                if answer.status == HTTPStatus.NOT_FOUND:
                    return None
                if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                    raise ServiceUnavailable(
                        f"RabbitMQ's management API refuses the user {self._user}: it needs its "
                        "password, the tag management, and access to the virtual host"
                    )
                answer.raise_for_status()
                return await answer.json()
        except aiohttp.ClientConnectorError as error:
            raise ServiceUnavailable(
                f"RabbitMQ's management API: {network_reason(error.os_error)}"
            ) from None
        except (aiohttp.ContentTypeError, ValueError):
            raise ServiceUnavailable(_NOT_IT) from None
        except aiohttp.ClientResponseError as error:
            raise ServiceUnavailable(
                f"RabbitMQ's management API answers {error.status} {error.message}"
            ) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            raise ServiceUnavailable(f"RabbitMQ's management API: {why}") from None


class ManagementAccess:
    """The way to the API, as the settings say."""

    def __init__(self, settings: ServiceSettings, url: str) -> None:
        """`url` may have a user and password; without them, those of AMQP_URL are used."""
        self._settings = settings
        self._url = URL(url)

    async def session(self) -> tuple[aiohttp.ClientSession, Management]:
        """A session to be closed, and the API in it. Raises ServiceUnavailable."""
        broker = self._settings.broker
        node = URL(broker.of(broker.nodes[0]))
        try:
            access = await read_access(self._settings)
        except ConnectionError as error:
            raise ServiceUnavailable(str(error)) from None
        given = self._url if self._url.user else access.of(node)
        user = given.user or broker.user
        http = aiohttp.ClientSession(
            headers={"Authorization": aiohttp.encode_basic_auth(user, given.password or "guest")},
            timeout=_TIMEOUT,
            connector=aiohttp.TCPConnector(ssl=access.context or True),
        )
        virtual_host = quote(unquote(node.raw_path[1:]) or "/", safe="")
        base = f"{str(self._url.with_user(None)).rstrip('/')}/api"
        return http, Management(http, base, virtual_host, user)
