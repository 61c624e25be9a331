"""All SQL about the containers of runs, by name."""

from typing import Final

# Runs of host $1 in boot $2: the one in whose cgroup the caller is, or that has this launch id.
_FIND: Final = """
    SELECT run_id, launch_id, uid, cgroup, containers_in
      FROM runs
     WHERE host = $1 AND boot_id = $2 AND """
FIND_BY_CGROUP: Final = _FIND + "run_id = $3 AND cgroup = $4"
FIND_BY_LAUNCH: Final = _FIND + "launch_id = $3"

# Before the first request that starts something. Guarded: a run that is being stopped starts
# nothing more, and one whose command has ended neither.
NOTE: Final = """
    UPDATE runs SET containers_in = coalesce(containers_in, $3)
     WHERE run_id = $1 AND launch_id = $2 AND status = 'running' AND left_behind IS NULL
    RETURNING containers_in
"""

# The runs of host $1 that are over, have nothing left that a stop would still have to prove gone,
# and have containers to be removed: by the record, or as the engine has some of the launches $2.
# What a run was registered to keep stays, until a cancel has stopped it.
LIST_TO_REMOVE: Final = """
    SELECT run_id, launch_id, cgroup, containers_in
      FROM runs
     WHERE host = $1 AND containers_in IS NOT NULL
       AND (NOT containers_removed OR launch_id = ANY ($2::uuid[]))
       AND (status = 'canceled'
            OR status = 'error' AND loss ->> 'proof' IS NOT NULL
            OR status IN ('pass', 'fail')
               AND (left_behind IS NULL OR left_behind ->> 'proof' IS NOT NULL)
               AND (leftovers = 'stop'
                    OR coalesce(left_behind ->> 'ended', 'already_gone') <> 'already_gone'))
"""

RECORD_REMOVED: Final = "UPDATE runs SET containers_removed = true WHERE run_id = $1"
