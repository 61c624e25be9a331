"""The settings of the console, with their defaults."""

from pydantic import Field, field_validator
from yarl import URL

from shared.configuration.settings import ServiceSettings
from shared.configuration.values import origins


class ConsoleSettings(ServiceSettings):
    console_host: str = Field("127.0.0.1", description="Address of the console")
    console_port: int = Field(
        8081, ge=0, le=65535, description="Port of the console; `0` chooses a free one"
    )
    console_url: str | None = Field(
        None,
        description="The console's address for its users, if it is behind a proxy, as in "
        "`https://cancel.example.com`. Requests for another host name are refused; with `https`, "
        "browsers send the session cookie only over TLS",
    )

    @field_validator("console_url")
    @classmethod
    def _one_origin(cls, url: str | None) -> str | None:
        if url is not None and (len(origins(url)) != 1 or url == "*"):
            raise ValueError("must be one origin, like https://cancel.example.com")
        return url

    @property
    def console_origin(self) -> URL | None:
        return None if self.console_url is None else URL(self.console_url)
