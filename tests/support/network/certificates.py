"""Certificate authorities and certificates for tests."""

import os
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)


class Pair(NamedTuple):
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes

    def write(self, directory: Path, name: str) -> "Files":
        """Write both files; the key for its owner alone."""
        files = Files(directory / f"{name}.pem", directory / f"{name}.key")
        replace(files.certificate, self.certificate)
        replace(files.key, self.key)
        return files


class Files(NamedTuple):
    certificate: Path
    key: Path

    def chown(self, uid: int, gid: int) -> "Files":
        for path in self:
            os.chown(path, uid, gid)
        return self


def replace(path: Path, content: bytes) -> None:
    """Write a file at once, as a renewal should; for its owner alone."""
    new = path.with_name(f".{path.name}")
    new.touch(mode=0o600)
    new.write_bytes(content)
    new.rename(path)


class Authority:
    """A private CA."""

    def __init__(self, name: str = "CA of a test") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.certificate = _pem(
            _builder(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(self._identifier(), critical=False)
            .sign(self._key, SHA256())
        )

    def _identifier(self) -> x509.SubjectKeyIdentifier:
        return x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())

    def _signed_by(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def issue(
        self,
        name: str = "localhost",
        *,
        hosts: tuple[str, ...] = ("localhost",),
        age: timedelta = _DAY,
        lasts: timedelta = 2 * _DAY,
        passphrase: str | None = None,
    ) -> Pair:
        """A certificate for a server at `hosts` and 127.0.0.1, or for the client `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
        if "localhost" in hosts:
            names.append(x509.IPAddress(IPv4Address("127.0.0.1")))
        signed = (
            _builder(_named(name), self._name, key, age, lasts)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(self._signed_by(), critical=False)
            .sign(self._key, SHA256())
        )
        return Pair(_pem(signed), _key_pem(key, passphrase))


def self_signed(host: str = "localhost") -> Pair:
    """A server's certificate that no CA signed."""
    key, name = ec.generate_private_key(ec.SECP256R1()), _named(host)
    names = x509.SubjectAlternativeName([x509.DNSName(host)])
    signed = _builder(name, name, key).add_extension(names, critical=False).sign(key, SHA256())
    return Pair(_pem(signed), _key_pem(key, None))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    age: timedelta = _DAY,
    lasts: timedelta = 2 * _DAY,
) -> x509.CertificateBuilder:
    begins = datetime.now(UTC) - age
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + lasts)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey, passphrase: str | None) -> bytes:
    how = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
