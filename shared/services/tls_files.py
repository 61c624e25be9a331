"""Loads certificates and keys, and says which file is the problem.

Every function raises ValueError with the file and the problem, but nothing of its content.
"""

import ssl

from shared.services.named_file import NamedFile


def client_context(ca: NamedFile | None) -> ssl.SSLContext:
    """Python's default for clients, trusting the CA certificates of a file, or of the system."""
    if ca is None:
        return ssl.create_default_context()
    ca.open().close()
    try:
        return ssl.create_default_context(cafile=ca.path)
    except ssl.SSLError:
        raise ValueError(_not_pem(ca, "certificate")) from None


def load_trusted(context: ssl.SSLContext, file: NamedFile, what: str) -> None:
    """Add what a PEM file has: CA certificates, or a revocation list."""
    file.open().close()
    try:
        context.load_verify_locations(file.path)
    except ssl.SSLError:
        raise ValueError(_not_pem(file, what)) from None


def load_own(
    context: ssl.SSLContext, certificate: NamedFile, key: NamedFile | None, passphrase: str = ""
) -> None:
    """Add a certificate to present, with its key. Without `key`, both are in one file."""
    # OpenSSL does not say which of them it cannot read.
    for file in (certificate, key):
        if file:
            file.open().close()
    try:
        # Without a passphrase, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate.path, key.path if key else None, password=passphrase)
    except ssl.SSLError as error:
        raise ValueError(_problem(certificate, key, error)) from None


def _problem(certificate: NamedFile, key: NamedFile | None, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{key or certificate}: not the key of {certificate}"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate.path)
    except ssl.SSLError:
        return _not_pem(certificate, "certificate")
    return f"{key or certificate}: no PEM key, an incomplete one, or one that needs a passphrase"


def _not_pem(file: NamedFile, what: str) -> str:
    return f"{file}: no PEM {what}, or an incomplete one"
