"""What pydantic says of a wrong value, in our words."""


def in_words(message: str) -> str:
    """A message of pydantic without what it puts before those of our validators."""
    return message.removeprefix("Value error, ")
