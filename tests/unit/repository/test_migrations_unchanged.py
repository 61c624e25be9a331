"""A migration that may have been applied somewhere is never edited."""

from pathlib import Path

import pytest

from tools.schemas import checksums


def test_each_migration_is_the_one_that_was_recorded() -> None:
    assert checksums.recorded() == checksums.current(), (
        "write a new migration instead of changing one; record a new one: `python -m tools.schemas`"
    )


def test_a_changed_migration_is_not_recorded_anew(tmp_path: Path) -> None:
    file = tmp_path / "migrations.sha256"
    checksums.record(file)
    text = file.read_text()
    changed = text.replace(text[:8], "0" * 8, 1)
    file.write_text(changed)

    with pytest.raises(checksums.MigrationChanged, match=r"^0001_runs\.sql has changed"):
        checksums.record(file)

    assert file.read_text() == changed
