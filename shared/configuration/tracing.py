"""OpenTelemetry's variables that decide whether traces are sent. The SDK reads these and others."""

from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from shared.configuration.values import url_with_host

_LOCAL_COLLECTOR: Final = "http://localhost:4318"


class TracesExporter(StrEnum):
    OTLP = "otlp"
    NONE = "none"


class TracingSettings(BaseModel):
    model_config = ConfigDict(defer_build=True)

    otlp_endpoint: SecretStr | None = Field(
        None,
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="OpenTelemetry collector, `http://host:4318`. Turns tracing on",
    )
    otlp_traces_endpoint: SecretStr | None = Field(
        None,
        validation_alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        description="The same with the full path, `http://host:4318/v1/traces`. Takes precedence",
    )
    traces_exporter: TracesExporter | None = Field(
        None,
        validation_alias="OTEL_TRACES_EXPORTER",
        description="`none` turns tracing off. `otlp` turns it on; without an endpoint, traces go "
        "to port 4318 of this machine",
    )
    otlp_protocol: Literal["http/protobuf"] = Field(
        "http/protobuf",
        validation_alias="OTEL_EXPORTER_OTLP_PROTOCOL",
        description="Export protocol. No other is supported",
    )
    tracing_disabled: bool = Field(
        False, validation_alias="OTEL_SDK_DISABLED", description="`true` turns tracing off"
    )

    @property
    def collector(self) -> str | None:
        """The collector's URL as it is set, for messages; None if tracing is off.

        The exporter reads the variables itself.
        """
        if self.tracing_disabled or self.traces_exporter is TracesExporter.NONE:
            return None
        url = self.otlp_traces_endpoint or self.otlp_endpoint
        if url is not None:
            return url.get_secret_value()
        return _LOCAL_COLLECTOR if self.traces_exporter else None

    @field_validator(
        "otlp_endpoint",
        "otlp_traces_endpoint",
        "traces_exporter",
        "otlp_protocol",
        "tracing_disabled",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object, info: ValidationInfo) -> object:
        if value == "" and info.field_name is not None:
            return cls.model_fields[info.field_name].default
        return value

    @field_validator("otlp_endpoint", "otlp_traces_endpoint")
    @classmethod
    def _http_scheme(cls, url: SecretStr | None) -> SecretStr | None:
        return None if url is None else url_with_host(url, "http://", "https://")
