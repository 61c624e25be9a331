"""Replication: what a role without privileges may know of it, and a commit that waits for it.

A commit is invisible to others while it waits for the synchronous standby. But if the wait is
canceled, as by asyncpg after a timeout, the commit can be seen although the standby lacks it, and
a failover may still undo it. So a transaction that acknowledges what it has only read executes
AWAIT_STANDBY. It writes to the log, without a change: its commit waits until the standby has all
earlier ones. So does the commit of a transaction that has written or locked a row.
https://www.postgresql.org/docs/current/warm-standby.html#SYNCHRONOUS-REPLICATION-HA
"""

from typing import Final

# Without pg_read_all_stats, `sync_state` is null. Backups and logical replication replace no
# primary. https://www.postgresql.org/docs/current/monitoring-stats.html
READ_REPLICATION: Final = """
    SELECT current_setting('synchronous_standby_names') AS names,
           current_setting('synchronous_commit') AS synchronous_commit,
           count(pid) AS standbys,
           bool_or(sync_state IN ('sync', 'quorum')) AS has_synchronous
      FROM pg_stat_replication
     WHERE application_name NOT IN ('pg_basebackup', 'pg_receivewal')
       AND pid NOT IN (SELECT active_pid FROM pg_replication_slots
                        WHERE slot_type = 'logical' AND active_pid IS NOT NULL)
"""

IS_SYNCHRONOUS: Final = "current_setting('synchronous_standby_names') <> ''"
WRITE_NOTHING: Final = "pg_logical_emit_message(true, 'run-cancel', '')"

AWAIT_STANDBY: Final = f"SELECT {WRITE_NOTHING} WHERE {IS_SYNCHRONOUS}"
