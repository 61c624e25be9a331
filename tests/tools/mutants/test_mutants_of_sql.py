"""Each operator of SQL makes the mistake that it is named for."""

import pytest

from tools.mutants.operators.sql import grants, modules
from tools.mutants.operators.sql.operators import changes
from tools.mutants.operators.sql.tokens import tokens


def _changed(sql: str, operator: str) -> list[str]:
    return [
        sql[: change.start] + change.text + sql[change.end :]
        for change in changes(tokens(sql))
        if change.operator == operator
    ]


@pytest.mark.parametrize(
    ("sql", "operator", "expected"),
    [
        ("WHERE a < $1", "SQL swapped", ["WHERE a <= $1"]),
        ("WHERE a <> $1", "SQL swapped", ["WHERE a = $1"]),
        ("SELECT greatest(a, b)", "SQL swapped", ["SELECT least(a, b)"]),
        ("SELECT f(secs => 1)", "SQL swapped", []),
        ("WHERE a = 'x'", "SQL equality", ["WHERE a <> 'x'"]),
        ("UPDATE t SET a = 'x'", "SQL equality", []),
        ("WHERE a AND b", "SQL and/or", ["WHERE a OR b"]),
        ("WHERE a BETWEEN 1 AND 2", "SQL and/or", []),
        ("WHERE a = $1 AND b", "SQL condition",
         ["WHERE (a = $1 OR true) AND b", "WHERE a = $1 AND (b OR true)"]),
        ("WHERE a OR b IS NULL RETURNING c", "SQL condition",
         ["WHERE (a AND false) OR b IS NULL RETURNING c",
          "WHERE a OR (b IS NULL AND false) RETURNING c"]),
        ("f(SELECT FROM t WHERE a = (b))", "SQL condition",
         ["f(SELECT FROM t WHERE (a = (b) OR true))"]),
        ("WHERE a BETWEEN 1 AND 2 ORDER BY a", "SQL condition",
         ["WHERE (a BETWEEN 1 AND 2 OR true) ORDER BY a"]),
        ("CASE WHEN a THEN 1 END", "SQL condition", ["CASE WHEN (a OR true) THEN 1 END"]),
        ("WHERE a -- why\n AND b", "SQL condition",
         ["WHERE (a OR true) -- why\n AND b", "WHERE a -- why\n AND (b OR true)"]),
        ("WHERE {which}", "SQL condition", []),
        ("WHERE a IS NOT NULL", "SQL negation", ["WHERE a IS NULL"]),
        ("SELECT a FOR UPDATE", "SQL lock", ["SELECT a "]),
        ("FOR UPDATE OF r {locked}", "SQL lock", [""]),
        ("FOR UPDATE SKIP LOCKED", "SQL lock", ["", "FOR UPDATE "]),
        ("SELECT now() - $1::interval", "SQL arithmetic", ["SELECT now() + $1::interval"]),
        ("SELECT a ->> 'b'", "SQL arithmetic", []),
        ("SELECT coalesce(f(a, b), $1) AS c", "SQL fallback",
         ["SELECT (f(a, b)) AS c", "SELECT ($1) AS c"]),
        ("WHERE a IN ('x', 'y')", "SQL element", ["WHERE a IN ('y')", "WHERE a IN ('x')"]),
        ("LIMIT $2", "SQL limit", ["LIMIT $2 - 1"]),
        ("LIMIT 1", "SQL limit", []),
    ],
)  # fmt: skip
def test_a_statement_is_changed(sql: str, operator: str, expected: list[str]) -> None:
    assert _changed(sql, operator) == expected


_MODULE = '''
"""About: a < b."""

A: Final = f"""
    SELECT '{{}}' FROM runs WHERE status = 'queued' AND {WHICH}
"""
"""A text about it: a < b."""

B: Final = A.format(a="SKIP LOCKED")
'''


def test_only_the_constants_of_a_module_are_changed() -> None:
    found = list(modules.mutants("shared/postgres/sql/some.py", _MODULE))
    assert {each.scope for each in found} == {"A", "B"}
    assert not [each for each in found if "a < b" in each.before]
    for each in found:
        compile(each.applied_to(_MODULE), "some.py", "exec")


def test_rights_are_given_and_taken() -> None:
    roles = (
        "REVOKE ALL ON t FROM a;\nGRANT SELECT, UPDATE (x, y) ON t TO a;\nGRANT SELECT ON u TO a;\n"
    )
    found = [each.after for each in grants.mutants("deploy/postgres/roles.sql", roles)]
    assert found == [
        "",
        "GRANT SELECT, UPDATE ON t TO a;",
        "GRANT SELECT, UPDATE (y) ON t TO a;",
        "GRANT SELECT, UPDATE (x) ON t TO a;",
    ]
