"""SQL that selects dead letters by a filter. Only the conditions that are asked for are in it.

"$1 IS NULL OR …" for each would cost the planner its view of which index to take.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from shared.postgres.sql.dead_letters import PUBLISHER

# Before the others, in their transaction. A plan is made for the values asked for: how common a
# word is decides whether its index or the newest letters are the shorter way. And however common,
# no table is read from its start to its end.
PLAN: Final = """
    SELECT set_config('plan_cache_mode', 'force_custom_plan', true),
           set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true),
           set_config('work_mem', '32MB', true)
"""

CONDITIONS: Final[Mapping[str, str]] = {
    "state": "state = {}",
    "reason": "reason = {}",
    "error": "error_group = {}",
    "publisher": f"{PUBLISHER} = {{}}",
    "requested_by": "requested_by = {}",
    "run_id": "run_id = {}",
    "older_than": "arrived_at <= now() - {}::interval",
    "newer_than": "arrived_at >= now() - {}::interval",
    "ids": "letter_id = ANY ({}::bigint[])",
    "up_to": "letter_id <= {}",
    "before": "letter_id < {}",
    "after": "letter_id > {}",
}
"""By name, with a place for the parameter."""
_CONTAINS: Final = "content LIKE letter_pattern({})"
_SEARCHED: Final = "letter_id IN (SELECT letter_id FROM dead_letter_texts WHERE {})"

_SUMMARY: Final = """
    l.letter_id, l.state, l.arrived_at, l.reason, l.error, l.error_group, l.attempts,
    l.first_failed_at, l.last_failed_at, l.exchange, l.routing_key, l.via, l.publisher,
    l.command_id, l.run_id, l.requested_by, l.type, octet_length(l.body) AS bytes, l.full_size,
    l.replays, l.replay_of
"""
# The ids come from an index that holds what the filters ask for, and then the letters one by one.
_PAGE: Final = """
    SELECT {columns}
      FROM (SELECT letter_id FROM dead_letters WHERE {where}
             ORDER BY letter_id {order} LIMIT {limit}) page,
           LATERAL (SELECT * FROM dead_letters WHERE letter_id = page.letter_id LIMIT 1) l
     ORDER BY l.letter_id {order}
"""
_COUNT: Final = """
    SELECT {column} AS value, count(*) AS letters, min(arrived_at) AS oldest,
           max(arrived_at) AS newest, sum(count(*)) OVER () AS of_all
      FROM ({counted}) counted
     GROUP BY 1
     ORDER BY 2 DESC, 1
     LIMIT {limit}
"""
_GROUPS: Final = """
    SELECT reason, error_group, count(*) AS letters, sum(count(*)) OVER () AS of_all
      FROM ({counted}) counted
     GROUP BY 1, 2
     ORDER BY 3 DESC, 1, 2
     LIMIT {limit}
"""
_TOTAL: Final = "SELECT count(*) AS letters FROM ({counted}) counted"
# What is counted: all letters, or the newest.
_ALL: Final = """
    SELECT reason, error_group, publisher, run_id, state, arrived_at
      FROM dead_letters WHERE {where}
"""
_NEWEST: Final = _ALL + "ORDER BY letter_id DESC LIMIT {most}"
_IDS: Final = """
    SELECT letter_id FROM dead_letters WHERE {where} ORDER BY letter_id LIMIT {limit}
"""
# How many a replay would publish, and why it would not publish the others.
_PLANNED: Final = """
    SELECT CASE WHEN full_size IS NOT NULL THEN 'cut'
                WHEN {force}::boolean THEN 'sent'
                WHEN state = 'discarded' THEN 'discarded'
                WHEN replays >= {most}::int THEN 'too_often'
                ELSE 'sent' END AS planned,
           count(*) AS letters
      FROM dead_letters
     WHERE {where}
     GROUP BY 1
"""


def newest(where: str, limit: str) -> str:
    """Letters without their bodies, the newest first. `limit` is the parameter of the number."""
    return _PAGE.format(columns=_SUMMARY, where=where, order="DESC", limit=limit)


def oldest_whole(where: str, limit: str) -> str:
    """Letters with their bodies, by ascending id."""
    return _PAGE.format(columns="l.*", where=where, order="ASC", limit=limit)


def ids(where: str, limit: str) -> str:
    """Ids of letters, ascending."""
    return _IDS.format(where=where, limit=limit)


def counts(where: str, limit: str, column: str, most: int | None = None) -> str:
    """How many letters there are for each value of `column`, the most frequent first.

    With `most`, of no more letters than that, the newest; `of_all` is how many they are.
    """
    return _COUNT.format(counted=_counted(where, most), limit=limit, column=column)


def groups(where: str, limit: str, most: int | None = None) -> str:
    """Like `counts`, for each reason and group of errors."""
    return _GROUPS.format(counted=_counted(where, most), limit=limit)


def total(where: str, most: int | None = None) -> str:
    """How many letters there are, or `most` if there are more."""
    return _TOTAL.format(counted=_counted(where, most))


def _counted(where: str, most: int | None) -> str:
    return (_ALL if most is None else _NEWEST).format(where=where, most=most)


def planned(where: str, most: str, force: str) -> str:
    """How many letters a replay would publish or not publish, by why.

    `most` is the parameter of how many replays are too many, `force` of whether those letters and
    discarded ones are published all the same.
    """
    return _PLANNED.format(where=where, most=most, force=force)


def containing(parameters: Iterable[str]) -> str:
    """The condition that a letter contains one of the texts in `parameters`."""
    return _SEARCHED.format(" OR ".join(map(_CONTAINS.format, parameters)))
