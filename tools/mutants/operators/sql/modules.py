"""All changes of the SQL in a Python module: of its constants that are texts."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from tools.mutants.mutant import Mutant, mutant_of
from tools.mutants.operators.source import Source
from tools.mutants.operators.sql.operators import changes
from tools.mutants.operators.sql.tokens import tokens

_QUOTES: Final = re.compile(r'[rfRF]*("""|")')


def mutants(file: str, text: str) -> Iterator[Mutant]:
    source = Source(text)
    for node in source.tree.body:
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            for start, end in _texts(source, node.value):
                for change in changes(tokens(text, start, end)):
                    yield mutant_of(file, source.scope(node), text, change)


def _texts(source: Source, value: ast.expr) -> Iterator[tuple[int, int]]:
    """Between the quotes of each text, those of `.format(…)` and `.join(…)` included."""
    for node in _outermost(value):
        start, end = source.span(node)
        opening = _QUOTES.match(source.text, start)
        if opening is None:
            continue
        quote = opening.group(1)
        # Not two texts in a row, which are one node.
        if source.text.find(quote, opening.end()) == end - len(quote):
            yield opening.end(), end - len(quote)


def _outermost(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    ):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _outermost(child)
