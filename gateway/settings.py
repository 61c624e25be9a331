"""The settings of the gateway, with their defaults."""

from pydantic import Field, field_validator

from shared.configuration.settings import ServiceSettings
from shared.configuration.values import Network, Seconds, network, origins, parts


class GatewaySettings(ServiceSettings):
    gateway_host: str = Field("127.0.0.1", description="Address that the gateway listens on")
    gateway_port: int = Field(8080, ge=0, le=65535, description="Port that the gateway listens on")
    gateway_processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that serve the port; each uses one processor core at most",
    )
    write_limit: int = Field(
        20,
        ge=1,
        description="Requests that cancel runs per window, for tokens without their own limit",
    )
    read_limit: int = Field(
        120,
        ge=1,
        description="Requests that read runs, cancels or events per window, for tokens without "
        "their own limit",
    )
    register_limit: int = Field(
        600,
        ge=1,
        description="Requests that register runs per window, for tokens without their own limit",
    )
    anonymous_limit: int = Field(
        20, ge=1, description="Requests without a valid token, per client address and window"
    )
    rate_window: int = Field(
        60, ge=1, le=86400, description="Length of the rate limit window, seconds"
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (),
        description="Proxies whose `X-Forwarded-For` is trusted: addresses or networks, separated "
        "by commas",
    )
    cors_origins: tuple[str, ...] = Field(
        (),
        description="Origins whose web pages may use the API from a browser (CORS), like "
        "`https://ci.example.com`, separated by commas; `*` allows all",
    )
    max_connections: int = Field(
        1000,
        ge=1,
        description="Maximum number of open connections of a process; at most half of its file "
        "descriptors. Beyond it, a new connection replaces an idle one or gets 503. At most half "
        "of them may be event streams",
    )
    max_connections_per_address: int = Field(
        500,
        ge=1,
        description="Maximum number of open connections of a process per client address (IPv6: "
        "per /64). Does not apply to `CANCEL_TRUSTED_PROXIES`",
    )
    body_limit: int = Field(16384, ge=1024, description="Maximum size of a request body, bytes")
    register_body_limit: int = Field(
        1024 * 1024,
        ge=1024,
        description="Maximum size of the body of a request that registers many runs, bytes",
    )
    head_timeout: Seconds = Field(
        10.0, description="Timeout for receiving a request line and headers, seconds"
    )
    body_timeout: Seconds = Field(10.0, description="Timeout for receiving a request body, seconds")
    response_timeout: Seconds = Field(
        30.0, description="Timeout for a client to read its response, seconds"
    )
    idle_timeout: Seconds = Field(
        75.0, description="Timeout for an idle connection between requests, seconds"
    )
    event_stream_duration: Seconds = Field(
        900.0,
        description="Maximum duration of an event stream, seconds. Clients reconnect, and a "
        "revoked token is noticed then",
    )
    gateway_drain_duration: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Time after SIGTERM for which the gateway still serves, but says 503 on "
        "`/readyz`, so that a proxy sends requests to others before it stops, seconds",
    )
    gateway_shutdown_timeout: Seconds = Field(
        10.0, description="Timeout for requests in flight when the gateway stops, seconds"
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [network(part) for part in parts(value)]

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        return origins(value) if isinstance(value, str) else value
