"""The messages of pydantic's validation errors."""


def strip_prefix(message: str) -> str:
    """`message` without the prefix that pydantic adds to those of our validators."""
    return message.removeprefix("Value error, ")
