"""Whatever is published on the exchange of events, it is an event or it is refused."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.events.event import event_of

texts = st.text(max_size=8) | st.sampled_from(["1", "e1", "ci.run.finished.v1"])
values = st.none() | st.integers() | texts | st.lists(texts)
objects = st.dictionaries(st.sampled_from(["id", "type", "subject", "data", "x"]), values)


@given(st.binary())
def test_any_bytes_are_an_event_or_a_value_error(body: bytes) -> None:
    with suppress(ValueError):
        event_of(body)


@settings(deadline=None)  # the first text of a new checkout takes more than a second: see conftest
@given(objects, st.sampled_from([None, 1]))
def test_a_message_is_always_three_lines_and_an_empty_one(
    sent: dict[str, Any], indent: int | None
) -> None:
    try:
        event = event_of(json.dumps(sent, indent=indent).encode())
    except ValueError:
        return
    lines = event.message.decode().split("\n")
    names = [line.partition(": ")[0] for line in lines]
    assert names == ["id", "event", "data", "", ""]
    assert "\r" not in event.message.decode()
    assert json.loads(lines[2].removeprefix("data: ")) == sent
