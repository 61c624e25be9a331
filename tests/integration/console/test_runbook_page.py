"""GET /runbook."""

from tests.support.console.operator import Operator, signed_in, start_console
from tools.support.system import System


async def test_the_runbook_is_there_for_everybody_who_reaches_the_console(system: System) -> None:
    """In an outage of Postgres, nobody can sign in."""
    _, url = await start_console(system)
    visitor, operator = Operator(url), await signed_in(system, url)

    for reader in (visitor, operator):
        page = await reader.get("/runbook")
        assert page.status == 200
        assert 'id="the-docker-engine-hangs"' in page.html
    assert "Sign out" not in (await visitor.get("/runbook")).text
    assert "Sign out" in page.text
    # What Postgres says when a statement of the session's check fails.
    await system.database.execute("ALTER TABLE tokens RENAME TO no_tokens")
    assert (await operator.get("/runbook")).status == 200
    assert (await operator.get("/")).status == 500
    await visitor.close()
    await operator.close()
