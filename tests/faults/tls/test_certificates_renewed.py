"""Certificates are renewed without a restart: of the servers, of the programs, and of their CA."""

import asyncio

from tests.support.network.certificates import Authority
from tests.support.network.tls_programs import TlsPrograms
from tests.support.network.tls_system import TlsSystem


async def test_connections_go_on_and_new_ones_use_the_new_files(system: TlsSystem) -> None:
    programs, renewed = await TlsPrograms.start(system), Authority("renewed")
    await programs.cancel()
    before = programs.connections()

    await system.renew_servers(renewed)
    system.renew_files(renewed)
    await programs.cancel()
    assert programs.connections() == before

    await system.servers.end_sessions()
    await programs.cancel()
    assert programs.connections() > before


async def test_a_renewal_that_is_half_done_is_an_outage(system: TlsSystem) -> None:
    programs, renewed = await TlsPrograms.start(system), Authority("renewed")
    await programs.cancel()

    await system.renew_servers(renewed)
    whole = system.own.certificate.read_bytes()
    system.own.certificate.write_bytes(whole[: len(whole) // 2])
    await system.servers.end_sessions()
    said = f"CANCEL_AMQP_CERT_FILE={system.own.certificate}: no PEM certificate, or an incomplete"
    for program in programs:
        await program.event("rabbitmq_unreachable", where=lambda event: said in event["error"])
    # The new key, and not yet its certificate.
    system.renew_files(renewed)
    system.own.certificate.write_bytes(whole)
    said = f"CANCEL_AMQP_KEY_FILE={system.own.key}: not the key of "
    for program in programs:
        await program.event("rabbitmq_unreachable", where=lambda event: said in event["error"])

    system.renew_files(renewed)

    await programs.cancel()
    programs.check()


async def test_a_certificate_may_stand_for_a_password(system: TlsSystem) -> None:
    url = f"{system.servers.amqp_url}?auth=external"
    programs = await TlsPrograms.start(system.but(AMQP_URL=url, AMQP_PASSWORD_FILE=None))

    await programs.cancel()


async def test_sessions_are_encrypted_and_have_a_certificate(system: TlsSystem) -> None:
    programs = await TlsPrograms.start(system)
    await programs.cancel()

    found = await system.database.fetch(
        "SELECT DISTINCT ssl, client_dn FROM pg_stat_ssl NATURAL JOIN pg_stat_activity"
        " WHERE usename = 'ci'"
    )
    columns = ("list_connections", "--silent", "user", "ssl", "peer_cert_subject")
    listed = await asyncio.to_thread(system.servers.rabbit.ctl, *columns)

    assert [(row["ssl"], row["client_dn"]) for row in found] == [(True, "/CN=ci")]
    own = {line for line in listed.splitlines() if line.startswith("ci\t")}
    assert own == {"ci\ttrue\tCN=ci"}
