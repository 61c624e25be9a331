"""TLS with RabbitMQ."""

import ssl

from shared.configuration.settings import ServiceSettings
from shared.services.named_file import NamedFile
from shared.services.tls_files import client_context, load_own


def context(settings: ServiceSettings) -> ssl.SSLContext:
    """A context for one connection, from the files as they are now.

    It checks the certificate of the broker and the host name in it. Raises ValueError with the
    file that cannot be used.
    """
    ca = settings.amqp_ca_file
    made = client_context(NamedFile(ca, "CANCEL_AMQP_CA_FILE") if ca else None)
    if settings.amqp_cert_file is not None:
        certificate = NamedFile(settings.amqp_cert_file, "CANCEL_AMQP_CERT_FILE")
        load_own(made, certificate, key_file(settings))
    return made


def key_file(settings: ServiceSettings) -> NamedFile | None:
    """The file with the private key; None if there is none."""
    if settings.amqp_key_file is None:
        return None
    return NamedFile(settings.amqp_key_file, "CANCEL_AMQP_KEY_FILE")
