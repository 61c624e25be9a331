"""Whatever is in a body: it is a command or it is refused; reading it ends in no other way."""

from itertools import product

import pytest
from pydantic import ValidationError

from worker.messages.command_reader import read

IDS = '"command_id": "0b7c1d2e-7f7a-4d55-8f6b-0c9a4e1f2a31", "run_id": 1'
# Around the depth at which Python's readers run out of stack, each a little earlier or later.
DEPTHS = range(850, 1101)


@pytest.mark.parametrize("place", ['"x": {}', '"force": {}', '"reason": {}', '"\\u0072eason": {}'])
def test_a_body_of_any_depth_is_a_command_or_is_refused(place: str) -> None:
    for depth, innermost in product(DEPTHS, ("[]", "{}", '{"a": 1, "a": 2}')):
        nested = "[" * depth + innermost + "]" * depth
        body = f'{{{IDS}, "reason": "\\u0041", {place.format(nested)}}}'.encode()
        try:
            command = read(body).command
        except ValidationError:
            continue
        assert command.run_id == 1
