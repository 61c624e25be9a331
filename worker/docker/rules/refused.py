"""The error of requests that the socket answers by itself, in the engine's form."""

import json

from shared.errors import RunCancelError


class Refused(RunCancelError):
    """The request is not passed on; the message says why, in the words of a job's author."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def bad_request(problem: str) -> Refused:
    return Refused(400, problem)


def error_body(message: str) -> bytes:
    """An error as the engine writes it. The prefix tells whose it is."""
    return json.dumps({"message": f"run-cancel: {message}"}).encode() + b"\n"
