"""A worker that starts after a restore cannot record one of the jobs that are alive."""

import pytest

from tools.support.processes import alive, until_gone, why_no_cgroups
from tools.support.system import System
from tools.support.waiting import eventually

REFUSED, OTHERS = 1, (2, 3, 4)

_REFUSE = f"""
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON runs
        FOR EACH ROW WHEN (NEW.run_id = {REFUSED}) EXECUTE FUNCTION refuse();
"""


async def test_the_others_are_recorded_and_that_one_is_tried_again(system: System) -> None:
    if reason := why_no_cgroups():
        pytest.skip(reason)
    worker = await system.worker()
    marks = {run: (await system.launch_bad_child(run, "obeys"))[1] for run in (REFUSED, *OTHERS)}
    await worker.stop()
    await system.database.execute("DELETE FROM runs")  # as in a backup from before
    await system.database.execute(_REFUSE)

    worker = await system.worker()

    await worker.event("not_recorded_again", kind="claim")
    for run in OTHERS:
        assert (await system.run(run))["status"] == "running"
    await system.database.execute("DROP TRIGGER refuse ON runs")
    await eventually(lambda: system.run_or_none(REFUSED), what="the run that was refused")
    for run, mark in marks.items():
        assert (await system.run(run))["status"] == "running"
        assert alive(mark)
        await system.publish(run)
        await until_gone(mark)
