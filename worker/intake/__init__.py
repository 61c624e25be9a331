"""A command comes in: consumed, decided on with others, acknowledged."""
