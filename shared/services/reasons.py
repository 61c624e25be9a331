"""Why a service cannot be reached, in words that help an operator fix it."""

import os
import re
import socket
import ssl


def network_reason(error: OSError) -> str:
    """An OS error, in one line."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return f"its host name cannot be resolved: {error.strerror}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, FileNotFoundError):
        return "the socket does not exist"
    # asyncio's text repeats the address, which is in the URL, and joins those of several hosts.
    if numbers := {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}:
        return ", ".join(sorted(os.strerror(number).lower() for number in numbers))
    return str(error) or type(error).__name__
