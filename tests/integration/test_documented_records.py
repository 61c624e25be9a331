"""docs/records.md names every field of what is stored, and no other."""

import re
from dataclasses import fields
from typing import Final

import pytest

from shared.postgres import sql
from tests.support.repository.documents import DOCS
from tools.support.system import System
from worker.evidence import Evidence

TEXT: Final = (DOCS / "records.md").read_text()
# By their own words in the document.
TABLES: Final = {
    "runs": "Runs",
    "cancellations": "Cancellations",
    "dead_letters": "Dead letters",
}


def documented(heading: str) -> list[str]:
    """The names in the first column of the first table below `heading`."""
    _, _, below = TEXT.partition(f"\n## {heading}\n")
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert table is not None
    _, _, *rows = table[0].splitlines()
    return [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]


def keys_of_loss() -> set[str]:
    """All keys that a statement of ours writes into `loss`."""
    statements = "".join(
        text
        for module in (sql.runs, sql.hosts)
        for text in vars(module).values()
        if isinstance(text, str) and "SET" in text and "loss = " in text
    )
    literal = re.findall(r"'\{\"(\w+)\":", statements)
    built = re.findall(r"loss = [^;]*?jsonb_build_object\((.*?)\)\s+WHERE", statements, re.DOTALL)
    return {*literal, *(key for each in built for key in re.findall(r"'(\w+)', ", each))}


@pytest.mark.parametrize("table", TABLES)
async def test_every_column_is_documented(system: System, table: str) -> None:
    columns = await system.database.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = $1", table
    )

    assert sorted(documented(TABLES[table])) == sorted(row["column_name"] for row in columns)


def test_every_key_of_evidence_is_documented() -> None:
    assert documented("Evidence") == [field.name for field in fields(Evidence)]


def test_every_key_of_a_loss_is_documented() -> None:
    values = {"host_abandoned", "host_rebooted", "launcher_died", "container_lost"}

    assert sorted(keys_of_loss() - values - {"none_container_lost"}) == sorted(documented("Loss"))
