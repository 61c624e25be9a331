"""The table in docs/settings.md, made from the classes that read the settings.

`python -m tools.settings_table` prints it, ready to be pasted.
"""

from datetime import timedelta
from enum import Enum

from pydantic.fields import FieldInfo

from gateway.settings import GatewaySettings
from shared.configuration.settings import DatabaseSettings, ServiceSettings, environment_name
from worker.console.settings import ConsoleSettings
from worker.settings import WorkerSettings

# What these are differs from host to host and from user to user.
_IN_WORDS = {
    "host_name": "the machine's host name",
    "worker_socket": (
        "for root `/run/cancel-worker/worker.sock`, "
        "for others `$XDG_RUNTIME_DIR/cancel-worker/worker.sock` "
        "or, if that variable is not set, `/tmp/cancel-worker-<uid>/worker.sock`"
    ),
}


def table() -> str:
    """The rows of all settings, each once, under a heading."""
    rows = dict.fromkeys(
        row(cls, name)
        for cls in (
            DatabaseSettings,
            ServiceSettings,
            GatewaySettings,
            WorkerSettings,
            ConsoleSettings,
        )
        for name in cls.model_fields
    )
    return "\n".join(("| setting | default | meaning |", "| --- | --- | --- |", *rows))


def row(cls: type[DatabaseSettings], name: str) -> str:
    field = cls.model_fields[name]
    return f"| `{environment_name(cls, name)}` | {_default(name, field)} | {field.description} |"


def _default(name: str, field: FieldInfo) -> str:
    if name in _IN_WORDS:
        return _IN_WORDS[name]
    if field.is_required():
        return "required"
    value = field.default.value if isinstance(field.default, Enum) else field.default
    if value is None:
        return "not set"
    if isinstance(value, timedelta):
        return f"`{value.days}d`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "empty" if value in ("", ()) else f"`{value}`"


if __name__ == "__main__":
    print(table())
