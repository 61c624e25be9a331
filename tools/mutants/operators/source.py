"""A Python source with the positions of its nodes."""

import ast
from collections.abc import Iterator
from functools import cached_property


class Source:
    """What operators ask about a module: texts, positions, parents."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self._parents = {
            child: parent
            for parent in ast.walk(self.tree)
            for child in ast.iter_child_nodes(parent)
        }

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        for line in self.text.split("\n"):
            starts.append(starts[-1] + len(line) + 1)
        return starts

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.split("\n")

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where it begins and ends, in characters."""
        assert isinstance(node, ast.expr | ast.stmt | ast.pattern | ast.keyword)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._position(node.lineno, node.col_offset),
            self._position(node.end_lineno, node.end_col_offset),
        )

    def of(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def parent(self, node: ast.AST) -> ast.AST | None:
        return self._parents.get(node)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        while (parent := self._parents.get(node)) is not None:
            yield parent
            node = parent

    def definition(self, node: ast.AST) -> ast.stmt:
        """The innermost function that it is in, or the statement of the module."""
        found = node
        for each in (node, *self.ancestors(node)):
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                found = each
                break
            if not isinstance(each, ast.Module):
                found = each
        assert isinstance(found, ast.stmt)
        return found

    def whole_lines(self, node: ast.stmt) -> tuple[int, int]:
        """With its decorators, and from the begin of the line on."""
        assert node.end_lineno is not None
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(each.lineno for each in decorators)])
        return self._line_starts[first - 1], self._line_starts[node.end_lineno] - 1

    def scope(self, node: ast.AST) -> str:
        """The function, class or constant that it belongs to."""
        names = []
        for each in (node, *self.ancestors(node)):
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.append(each.name)
            elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                names.append(each.target.id)
        return ".".join(reversed(names)) or "module"

    def _position(self, line: int, column: int) -> int:
        """`ast` counts columns in bytes."""
        prefix = self._lines[line - 1].encode()[:column].decode()
        return self._line_starts[line - 1] + len(prefix)
