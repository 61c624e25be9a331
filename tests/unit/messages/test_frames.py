"""A message that is published is the bytes that pamqp would send for it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import FrameTypes, marshal
from pamqp.header import ContentHeader

from shared.amqp.confirms.frames import published

SHORT = st.text(max_size=60)
TIMES = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=5))]),
)
PROPERTIES = st.builds(
    Basic.Properties,
    content_type=SHORT,
    content_encoding=SHORT,
    headers=st.dictionaries(st.text(max_size=20), st.integers(-9, 9) | SHORT, max_size=3),
    delivery_mode=st.sampled_from([None, 1, 2]),
    priority=st.none() | st.integers(0, 9),
    correlation_id=SHORT,
    reply_to=SHORT,
    expiration=SHORT,
    message_id=SHORT,
    timestamp=st.none() | TIMES,
    message_type=SHORT,
    user_id=SHORT,
    app_id=SHORT,
)


@given(PROPERTIES, st.binary(max_size=50), st.integers(1, 60), st.integers(1, 2**16 - 1))
def test_any_message_is_what_pamqp_makes_of_it(
    properties: Basic.Properties, body: bytes, most: int, channel: int
) -> None:
    method = Basic.Publish(exchange="commands", routing_key="run.cancel", mandatory=True)
    parts = [body[start : start + most] for start in range(0, len(body), most)]
    frames: list[FrameTypes] = [
        method,
        ContentHeader(properties=properties, body_size=len(body)),
        *map(ContentBody, parts),
    ]

    sent = published("commands", "run.cancel", body, properties, channel, most)

    assert sent == b"".join(marshal(frame, channel) for frame in frames)


def test_a_string_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(TypeError, match="more than 255 bytes"):
        published("e", "k", b"", Basic.Properties(correlation_id="ö" * 128), 1, 100)
