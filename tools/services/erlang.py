"""Asks the Erlang of a node, whether its RabbitMQ serves or not."""

from typing import Final

from tools.services.model import ServerFailed

_END: Final = "-- end --"
"""Neither erl_call nor an evaluation that raises says by its exit code that it failed."""


def printing(text: str) -> str:
    """The Erlang that prints `text`, an expression whose value is a text, and that it is whole."""
    return f'io:format("~ts~n{_END}~n", [{text}]).\n'


def printed(output: str) -> str:
    """The text, from what was printed. Raises ServerFailed if it is not whole."""
    text, end, _ = output.rpartition(f"\n{_END}\n")
    if not end:
        raise ServerFailed(f"Erlang could not be asked:\n{output}")
    return text
