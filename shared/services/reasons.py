"""Why a service cannot be reached, in words that help an operator fix it."""

import os
import re
import socket
import ssl
from typing import Final

NEEDS_CERTIFICATE: Final = "it requires a client certificate"
_ALERTS: Final = {
    "CERTIFICATE_REQUIRED": NEEDS_CERTIFICATE,
    "HANDSHAKE_FAILURE": "it refused the TLS handshake: does it require a client certificate?",
    "UNKNOWN_CA": "it does not trust the CA of our client certificate",
    "CERTIFICATE_EXPIRED": "our client certificate has expired",
    "BAD_CERTIFICATE": "it does not accept our client certificate",
    "CERTIFICATE_UNKNOWN": "it does not accept our client certificate",
    "CERTIFICATE_REVOKED": "our client certificate is revoked",
}
"""Alerts of the peer: https://www.rfc-editor.org/rfc/rfc8446#section-6.2"""
_UNKNOWN_CA: Final = (18, 19, 20, 21)
"""OpenSSL's codes X509_V_ERR_… for a chain that does not end at a CA that we trust."""


def is_unknown_ca(error: BaseException | None) -> bool:
    """Whether the peer's certificate was refused because none of our CAs signed it."""
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in _UNKNOWN_CA


def network_reason(error: OSError) -> str:
    """An OS error, in one line."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return f"its host name cannot be resolved: {error.strerror}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        known = _ALERTS.get(reason.rpartition("_ALERT_")[2])
        return known or f"TLS failed: {reason.replace('_', ' ').lower()}"
    if isinstance(error, FileNotFoundError):
        return "the socket does not exist"
    # asyncio's text repeats the address, which is in the URL, and joins those of several hosts.
    if numbers := {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}:
        return ", ".join(sorted(os.strerror(number).lower() for number in numbers))
    return str(error) or type(error).__name__
