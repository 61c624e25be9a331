"""A command comes in: consumed, decided on, acknowledged; open commands are taken up."""
