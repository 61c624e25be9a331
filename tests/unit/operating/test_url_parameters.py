"""A parameter of a URL that would be ignored is refused, with what to set instead."""

import pytest

from shared.configuration import amqp_url, postgres_url

CA = "set CANCEL_AMQP_CA_FILE"
AMQP = {
    "cafile=/ca.pem": f"parameter cafile is not supported: {CA}",
    "capath=/ca": f"parameter capath is not supported: {CA}",
    "cadata=x": f"parameter cadata is not supported: {CA}",
    "certfile=/c": "parameter certfile is not supported: set CANCEL_AMQP_CERT_FILE",
    "keyfile=/k": "parameter keyfile is not supported: set CANCEL_AMQP_KEY_FILE",
    "no_verify_ssl=1": "parameter no_verify_ssl is not supported: certificates are always checked",
    "verify=verify_none": "parameter verify is not supported: certificates are always checked",
    "heartbeat=5": "parameter heartbeat is not supported: set CANCEL_HEARTBEAT",
    "timeout=5": "parameter timeout is not supported: remove it",
    "cafil=/ca.pem": f"unknown parameter cafil: for cafile, {CA}",
    "CAFILE=/ca.pem": f"unknown parameter CAFILE: for cafile, {CA}",
    "verify_peer=true": "unknown parameter verify_peer: for verify, certificates are always",
    "hartbeat=5": "unknown parameter hartbeat: for heartbeat, set CANCEL_HEARTBEAT",
    "aut=external": "unknown parameter aut: did you mean auth?",
    "cafile": f"parameter cafile is not supported: {CA}",
    "zzz=1": "unknown parameter zzz: remove it",
    "auth=kerberos": "parameter auth must be one of plain, external",
    "interleave=x": "parameter interleave must be a number",
    "happy_eyeballs_delay=nan": "parameter happy_eyeballs_delay must be a number",
    "a%0Ab=1": "has a parameter whose name is not a word",
}
POSTGRES = {
    "sslmod=verify-full": "unknown parameter sslmod: did you mean sslmode?",
    "ssl_mode=verify-full": "unknown parameter ssl_mode: did you mean sslmode?",
    "sslrootcrt=/ca": "unknown parameter sslrootcrt: did you mean sslrootcert?",
    "SSLMODE=require": "unknown parameter SSLMODE: did you mean sslmode?",
    "ssl=true": "parameter ssl is not supported: set sslmode",
    "cafile=/ca": "parameter cafile is not supported: set sslrootcert",
    "sslca=/ca": "unknown parameter sslca: did you mean ssl",
    "verify=full": "unknown parameter verify: ",
    "target_session_atrs=any": "unknown parameter target_session_atrs: did you mean target_session",
    "connect_timeout=3": "parameter connect_timeout is not supported: set CANCEL_DATABASE_TIMEOUT",
    "channel_binding=require": "parameter channel_binding is not supported: remove it",
    "hostaddr=10.0.0.1": "parameter hostaddr is not supported: remove it",
    "a%0Ab=1": "has a parameter whose name is not a word",
}


@pytest.mark.parametrize(("parameter", "words"), AMQP.items())
def test_of_rabbitmq(parameter: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        amqp_url.parse(f"amqps://ci:x@mq/v?{parameter}")

    assert str(refused.value).startswith(words)


@pytest.mark.parametrize(("parameter", "words"), POSTGRES.items())
def test_of_postgres(parameter: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        postgres_url.parse(f"postgresql://ci:x@db/ci?{parameter}")

    assert str(refused.value).startswith(words)


def test_what_has_an_effect_is_left_alone() -> None:
    amqp_url.parse("amqps://ci@mq/v?auth=EXTERNAL&interleave=1&happy_eyeballs_delay=0.25")
    for parameter in (
        *("sslmode=verify-full", "sslrootcert=/ca", "sslnegotiation=direct", "passfile=/p"),
        # Settings of the server, which refuses unknown ones itself.
        *("search_path=ci", "options=-csearch_path%3Dci", "tcp_keepalives_idle=60", "a.b=1"),
        *("password_encryption=md5", "statement_timeout=5s", "lock_timeout=1s"),
    ):
        postgres_url.parse(f"postgresql://ci:x@db/ci?{parameter}")
