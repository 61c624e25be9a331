"""All changes of a Python module, except those of SQL."""

import ast
from collections.abc import Iterator

from tools.mutants.mutant import Change, Mutant, mutant_of
from tools.mutants.operators import conditions, statements, values
from tools.mutants.operators.skipped import is_skipped
from tools.mutants.operators.source import Source
from tools.mutants.operators.values import Members

_OPERATORS = (
    conditions.comparisons,
    conditions.forgotten_parts,
    conditions.and_or,
    conditions.negations,
    conditions.choices,
    statements.calls,
    statements.raises,
    statements.early_ends,
    values.bounds,
    values.steps,
    values.extremes,
    values.flags,
    values.elements,
)


def mutants(file: str, text: str, known: Members) -> Iterator[Mutant]:
    """`known`: the enumerations."""
    source = Source(text)
    for node in ast.walk(source.tree):
        found = list(_changes(source, node, known))
        if not found or is_skipped(source, node):
            continue
        for change in found:
            if _is_python(source, node, change):
                yield mutant_of(file, source.scope(node), text, change)


def _changes(source: Source, node: ast.AST, known: Members) -> Iterator[Change]:
    for operator in _OPERATORS:
        yield from operator(source, node)
    yield from values.members(source, node, known)


def _is_python(source: Source, node: ast.AST, change: Change) -> bool:
    """Whether the function, or what else it is in, can still be read."""
    start, end = source.whole_lines(source.definition(node))
    text = source.text[start : change.start] + change.text + source.text[change.end : end]
    try:
        ast.parse(f"if True:\n{text}" if text[:1].isspace() else text)
    except SyntaxError:
        return False
    return True
