"""Mistakes in conditions: a boundary, a negation, a forgotten part."""

import ast
from collections.abc import Iterator
from typing import Final

from tools.mutants.mutant import Change
from tools.mutants.operators.source import Source

_SWAPPED: Final[dict[type[ast.cmpop], tuple[str, str]]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}


def comparisons(source: Source, node: ast.AST) -> Iterator[Change]:
    """`<` for `<=`, `==` for `!=`."""
    if not isinstance(node, ast.Compare):
        return
    left = node.left
    for operator, right in zip(node.ops, node.comparators, strict=True):
        old, new = _SWAPPED[type(operator)]
        after_left, before_right = source.span(left)[1], source.span(right)[0]
        at = source.text.find(old, after_left, before_right)
        if at != -1:
            yield Change("comparison", at, at + len(old), new)
        left = right


def forgotten_parts(source: Source, node: ast.AST) -> Iterator[Change]:
    """`a` for `a and b`."""
    if not isinstance(node, ast.BoolOp):
        return
    values = node.values
    for index, value in enumerate(values):
        start, end = source.span(value)
        if index:
            start = _end_of(source, values[index - 1])
            end = _end_of(source, value)
        else:
            start = _start_of(source, value)
            end = _start_of(source, values[1])
        yield Change("part of a condition", start, end, "")


def and_or(source: Source, node: ast.AST) -> Iterator[Change]:
    """`or` for `and`, of two."""
    if not isinstance(node, ast.BoolOp) or len(node.values) != 2:
        return
    old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
    after, before = _end_of(source, node.values[0]), _start_of(source, node.values[1])
    at = source.text.find(old, after, before)
    yield Change("and/or", at, at + len(old), new)


def negations(source: Source, node: ast.AST) -> Iterator[Change]:
    """`a` for `not a`."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield Change("negation", source.span(node)[0], _start_of(source, node.operand), "")


def choices(source: Source, node: ast.AST) -> Iterator[Change]:
    """`a` or `b` for `a if c else b`."""
    if isinstance(node, ast.IfExp):
        start, end = source.span(node)
        for chosen in (node.body, node.orelse):
            yield Change("choice", start, end, f"({source.of(chosen)})")


def _start_of(source: Source, node: ast.AST) -> int:
    """Its start with the parentheses around it, which are no part of a node."""
    return _with_parentheses(source, node)[0]


def _end_of(source: Source, node: ast.AST) -> int:
    return _with_parentheses(source, node)[1]


def _with_parentheses(source: Source, node: ast.AST) -> tuple[int, int]:
    start, end = source.span(node)
    parent = source.parent(node)
    assert parent is not None
    low, high = source.span(parent)
    text = source.text
    while True:
        before, after = start, end
        while before > low and text[before - 1].isspace():
            before -= 1
        while after < high and text[after].isspace():
            after += 1
        if before <= low or after >= high or text[before - 1] != "(" or text[after] != ")":
            return start, end
        start, end = before - 1, after + 1
