"""What all models of the API share."""

from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

API: Final = "/api/v1"
"""The path prefix of all operations."""

MAX_MESSAGE: Final = 500


class Model(BaseModel):
    # Responses also contain fields that have a default.
    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )


# Run ids in paths can make a message longer than the contract allows.
Message = Annotated[
    str, BeforeValidator(lambda text: text[:MAX_MESSAGE]), Field(max_length=MAX_MESSAGE)
]
