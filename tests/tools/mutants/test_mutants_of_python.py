"""Each operator makes the mistake that it is named for, and leaves Python."""

import ast
from textwrap import dedent

import pytest

from tools.mutants.mutant import Mutant
from tools.mutants.operators import python

_KNOWN = {"Outcome": ["CANCELED", "NO_OP", "FORCED"]}


def _mutants(text: str) -> list[Mutant]:
    source = dedent(text)
    found = list(python.mutants("worker/some.py", source, _KNOWN))
    for mutant in found:
        ast.parse(mutant.applied_to(source))
    return found


def _after(text: str, operator: str) -> list[str]:
    return [each.after for each in _mutants(text) if each.change.operator == operator]


@pytest.mark.parametrize(
    ("line", "operator", "expected"),
    [
        ("x = a < b", "comparison", ["x = a <= b"]),
        ("x = a >= b", "comparison", ["x = a > b"]),
        ("x = a == b", "comparison", ["x = a != b"]),
        ("x = a is not b", "comparison", ["x = a is b"]),
        ("x = a not in b", "comparison", ["x = a in b"]),
        ("x = 0 < a < b", "comparison", ["x = 0 <= a < b", "x = 0 < a <= b"]),
        ("x = a and b and c", "part of a condition", ["x = b and c", "x = a and c", "x = a and b"]),
        ("x = (a or b) and (c)", "part of a condition",
         ["x = (c)", "x = (a or b)", "x = (b) and (c)", "x = (a) and (c)"]),
        ("x = a and b", "and/or", ["x = a or b"]),
        ("x = not a", "negation", ["x = a"]),
        ("x = not (a)", "negation", ["x = (a)"]),
        ("x = a if b else c", "choice", ["x = (a)", "x = (c)"]),
        ("x = f(Outcome.NO_OP)", "member", ["x = f(Outcome.FORCED)"]),
        ("x = f(Outcome.FORCED)", "member", ["x = f(Outcome.CANCELED)"]),
        ("x: int = Field(ge=1)", "bound", ["x: int = Field(ge=1 + 1)", "x: int = Field(ge=1 - 1)"]),
        ("x = delays[a - 1]", "step", ["x = delays[a]"]),
        ("x = (a + 1) * 2", "step", ["x = (a) * 2"]),
        ("x = min(a, b)", "extreme", ["x = max(a, b)"]),
        ("x = f(mandatory=True)", "flag", ["x = f(mandatory=False)"]),
        ("x = a in (b, c)", "element", ["x = a in (c)", "x = a in (b,)"]),
        ("x = a in {b, c, d}", "element",
         ["x = a in {c, d}", "x = a in {b, d}", "x = a in {b, c}"]),
        ("SCOPES: Final = {'a', 'b'}", "element",
         ["SCOPES: Final = {'b'}", "SCOPES: Final = {'a'}"]),
        ("SCOPES: Final = ('a', *OTHERS)", "element", ["SCOPES: Final = ('a',)"]),
    ],
)  # fmt: skip
def test_a_line_is_changed(line: str, operator: str, expected: list[str]) -> None:
    assert sorted(_after(line, operator)) == sorted(expected)


_STATEMENTS = """
    async def settle(self, delivery):
        if delivery.is_old:
            return
        if delivery.is_bad:
            raise Refused(delivery)
        try:
            await self._publish(delivery)
        except (Unroutable, Refused) as error:
            raise Unavailable from error
        delivery.ack()
"""


def test_statements_are_forgotten() -> None:
    assert _after(_STATEMENTS, "call") == ["pass", "pass"]
    lines = [each.line for each in _mutants(_STATEMENTS) if each.change.operator == "call"]
    assert lines == [8, 11] or lines == [11, 8]
    assert len(_after(_STATEMENTS, "raise")) == 2
    assert _after(_STATEMENTS, "early end") == ["pass"]
    assert sorted(_after(_STATEMENTS, "element")) == [
        "except (Refused) as error:",
        "except (Unroutable,) as error:",
    ]


def test_what_is_no_rule_stays() -> None:
    assert (
        _mutants(
            """
            @dataclass(frozen=True)
            class Some:
                a: int

            def __repr__(self):
                return "a" if self.a else "b"

            def told(self, given: Literal[Outcome.NO_OP] = None) -> Outcome.NO_OP:
                log.info("started", is_first=True)
                self._metrics.count(Outcome.NO_OP)
                assert given is not None and self.a
                span.set(a=True).end()
                return f(1, description="a" if True else "b")

            def last(self):
                if self.a:
                    return
            """
        )
        == []
    )


def test_an_id_does_not_depend_on_what_is_above() -> None:
    (one,) = _mutants("x = a < b")
    (other,) = _mutants("import os\n\n\nx = a < b")
    assert one.id == other.id
    assert (one.line, other.line) == (1, 4)


def test_positions_are_right_behind_wide_characters() -> None:
    assert _after('x = f("→ é") if a < b else c', "comparison") == ['x = f("→ é") if a <= b else c']
