"""How a command comes in: consumed, read, decided on, acknowledged; and taken up."""
