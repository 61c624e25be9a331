"""The line with which a program gives up says whose certificate is wrong, and how."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from yarl import URL

from tests.support.network.certificates import Authority, Files, replace, self_signed
from tests.support.network.tls_servers import USER
from tests.support.network.tls_system import TlsSystem

MISTAKE, AWAY = 2, 1
"""Exit codes."""
PAST = timedelta(days=9)
LIST = ("worker", "runs", "list")
GATEWAY = ("gateway", "serve", "--port", "0")

Variables = Mapping[str, str | None]
Ends = dict[str, tuple[int, str]]


async def _ends(
    system: TlsSystem, arguments: tuple[str, ...], cases: Mapping[str, Variables]
) -> Ends:
    """Exit code and last line of each, without the name of the program and the URL."""
    places = asyncio.Semaphore(4)

    async def one(changes: Variables) -> tuple[int, str]:
        async with places:
            changed = system.but(CANCEL_STARTUP_TIMEOUT="0.1", **changes)
            code, _, err = await changed.cli(*arguments)
        assert "Traceback" not in err, err
        assert system.password_file.read_text().strip() not in err
        assert "PRIVATE KEY" not in err
        line = err.splitlines()[-1].removeprefix(f"cancel-{arguments[0]}: ")
        return code, line.partition("://")[2].partition(": ")[2] or line

    return dict(zip(cases, await asyncio.gather(*map(one, cases.values())), strict=True))


def _check(ends: Ends, expected: Mapping[str, tuple[int, str]]) -> None:
    assert ends.keys() == expected.keys()
    for name, (code, words) in expected.items():
        assert ends[name][0] == code, (name, ends[name])
        assert ends[name][1].startswith(words), (name, ends[name])


def _without_tls(system: TlsSystem) -> dict[str, str]:
    """Variables with which a program reaches Postgres by another user, without TLS."""
    url, file = URL(system.database_url), system.directory / "other password"
    replace(file, str(url.password).encode())
    return {
        "DATABASE_URL": str(url.with_password(None)),
        "DATABASE_PASSWORD_FILE": str(file),
    }


async def test_certificates_of_servers(system: TlsSystem, authority: Authority) -> None:
    cases = {
        "expired": (authority.issue(age=PAST), "certificate has expired"),
        "not yet valid": (authority.issue(age=-PAST), "certificate is not yet valid"),
        "of another host": (
            authority.issue(hosts=("db.example",)),
            "Hostname mismatch, certificate is not valid for 'localhost'",
        ),
        "self-signed": (self_signed(), "self-signed certificate; is its CA in "),
        "of another CA": (
            Authority("another").issue(),
            "unable to get local issuer certificate; is its CA in ",
        ),
    }
    other = _without_tls(system)
    for name, (pair, words) in cases.items():
        await system.servers.present(pair)
        postgres, rabbitmq = await asyncio.gather(
            _ends(system, LIST, {name: {}}), _ends(system, GATEWAY, {name: other})
        )
        for ends, setting in ((postgres, "sslrootcert?"), (rabbitmq, "CANCEL_AMQP_CA_FILE?")):
            where = setting if words.endswith("in ") else ""
            _check(ends, {name: (AWAY, f"its certificate is not trusted: {words}{where}")})


async def _clients(system: TlsSystem, authority: Authority) -> dict[str, Files]:
    pairs = {
        "expired": authority.issue(USER, hosts=(USER,), age=PAST),
        "stranger": Authority("another").issue(USER, hosts=(USER,)),
        "namesake": authority.issue("somebody else", hosts=("somebody.else",)),
        "locked": authority.issue(USER, hosts=(USER,), passphrase="open-sesame"),
    }
    return {name: pair.write(system.directory, name) for name, pair in pairs.items()}


async def test_files_for_rabbitmq(system: TlsSystem, authority: Authority) -> None:
    files = await _clients(system, authority)
    junk = system.directory / "junk"
    junk.write_text("junk\n")

    def client(certificate: Path | None, key: Path | None) -> Variables:
        return {
            "CANCEL_AMQP_CERT_FILE": str(certificate) if certificate else None,
            "CANCEL_AMQP_KEY_FILE": str(key) if key else None,
        }

    without = {"CANCEL_AMQP_CA_FILE": None, **client(None, None)}
    url, own = system.servers.amqp_url, system.own
    cases: dict[str, tuple[Variables, int, str]] = {
        "system's CAs": (
            {"CANCEL_AMQP_CA_FILE": None},
            AWAY,
            "its certificate is not trusted: self-signed certificate in certificate chain; "
            "is its CA in CANCEL_AMQP_CA_FILE?",
        ),
        "none": (
            client(None, None),
            AWAY,
            "it requires a client certificate: set CANCEL_AMQP_CERT_FILE",
        ),
        "stranger": (
            client(*files["stranger"]),
            AWAY,
            "it does not trust the CA of our client certificate",
        ),
        "expired": (client(*files["expired"]), AWAY, "our client certificate has expired"),
        "amqps to a plain port": (
            {"AMQP_URL": str(url.with_port(system.servers.rabbit.port))},
            AWAY,
            "this port does not use TLS: set amqp://, or the port for TLS (5671)",
        ),
        "amqp to a TLS port": (
            {**without, "AMQP_URL": str(url.with_scheme("amqp"))},
            AWAY,
            "it closed the connection during the handshake: is it RabbitMQ, and does it require "
            "TLS (amqps://)?",
        ),
        "key of another": (
            client(own.certificate, files["stranger"].key),
            MISTAKE,
            f"CANCEL_AMQP_KEY_FILE={files['stranger'].key}: not the key of ",
        ),
        "passphrase": (
            client(*files["locked"]),
            MISTAKE,
            f"CANCEL_AMQP_KEY_FILE={files['locked'].key}: no PEM key, an incomplete one, or ",
        ),
        "no key": (
            client(own.certificate, None),
            MISTAKE,
            f"CANCEL_AMQP_CERT_FILE={own.certificate}: no PEM key",
        ),
        "missing key": (
            client(own.certificate, Path("/nowhere/key")),
            MISTAKE,
            "cannot read CANCEL_AMQP_KEY_FILE=/nowhere/key: No such file or directory",
        ),
        "junk": (
            {"CANCEL_AMQP_CA_FILE": str(junk)},
            MISTAKE,
            f"CANCEL_AMQP_CA_FILE={junk}: no PEM certificate, or an incomplete one",
        ),
        "no password": (
            {"AMQP_PASSWORD_FILE": "/nowhere/password"},
            MISTAKE,
            "cannot read AMQP_PASSWORD_FILE=/nowhere/password: No such file or directory",
        ),
        "wrong password": (
            {"AMQP_PASSWORD_FILE": str(junk)},
            AWAY,
            "ACCESS_REFUSED - Login was refused",
        ),
    }

    ends = await _ends(system, GATEWAY, {name: case[0] for name, case in cases.items()})

    _check(ends, {name: case[1:] for name, case in cases.items()})


async def test_files_for_postgres(system: TlsSystem, authority: Authority) -> None:
    files = await _clients(system, authority)
    junk = system.directory / "junk"
    junk.write_text("junk\n")

    def but(**parameters: str) -> Variables:
        return {"DATABASE_URL": system.tls_database_url(**system.database_parameters | parameters)}

    def client(name: str) -> Variables:
        return but(sslcert=str(files[name].certificate), sslkey=str(files[name].key))

    ca = {"sslmode": "verify-full", "sslrootcert": str(system.ca)}
    cases: dict[str, tuple[Variables, int, str]] = {
        "none": (
            {"DATABASE_URL": system.tls_database_url(**ca)},
            AWAY,
            "it requires a client certificate: set sslcert",
        ),
        "stranger": (
            client("stranger"),
            AWAY,
            "it does not trust the CA of our client certificate",
        ),
        "expired": (client("expired"), AWAY, "our client certificate has expired"),
        "namesake": (
            client("namesake"),
            AWAY,
            f'password authentication failed for user "{USER}"; is the certificate in sslcert for ',
        ),
        "no TLS": (
            {"DATABASE_URL": system.tls_database_url(sslmode="disable")},
            AWAY,
            'no pg_hba.conf entry for host "127.0.0.1"',
        ),
        "key of another": (
            but(sslkey=str(files["stranger"].key)),
            MISTAKE,
            f"DATABASE_URL: sslkey={files['stranger'].key}: not the key of sslcert=",
        ),
        "junk": (
            but(sslrootcert=str(junk)),
            MISTAKE,
            f"DATABASE_URL: sslrootcert={junk}: no PEM certificate, or an incomplete one",
        ),
        "no password": (
            {"DATABASE_PASSWORD_FILE": "/nowhere/password"},
            MISTAKE,
            "cannot read DATABASE_PASSWORD_FILE=/nowhere/password: No such file or directory",
        ),
        "wrong password": (
            {"DATABASE_PASSWORD_FILE": str(junk)},
            AWAY,
            f'password authentication failed for user "{USER}"',
        ),
    }

    ends = await _ends(system, LIST, {name: case[0] for name, case in cases.items()})

    _check(ends, {name: case[1:] for name, case in cases.items()})
