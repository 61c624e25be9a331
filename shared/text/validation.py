"""The messages of pydantic's validation errors."""

import re
from typing import Final

_IN_OTHER_WORDS: Final = (
    (re.compile(r"Value error, |, unable to [a-z ]+"), ""),  # the former: of our own validators
    (re.compile("Input should be a valid (?=[aeio])"), "must be an "),
    (re.compile("Input should be a valid "), "must be a "),
    (re.compile("Input should be greater than or equal to "), "must be at least "),
    (re.compile("Input should be less than or equal to "), "must be at most "),
    (re.compile("Input should be "), "must be "),
    (re.compile("Input should "), "must "),
    (re.compile("(String|List|Dictionary) should have "), "must have "),
    (re.compile(" after validation(?=, not )"), ""),
    (re.compile("^Field required$"), "is required"),
    (re.compile("Invalid JSON: recursion limit exceeded"), "Invalid JSON: nested too deeply"),
    (re.compile("Extra inputs are not permitted"), "is not a field of this request"),
)


def reworded(message: str) -> str:
    """`message`, or a text that contains it, in plain words."""
    for theirs, ours in _IN_OTHER_WORDS:
        message = theirs.sub(ours, message)
    return message
