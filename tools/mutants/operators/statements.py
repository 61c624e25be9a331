"""Forgotten statements: a call, a raise, an early return."""

import ast
from collections.abc import Iterator

from tools.mutants.mutant import Change
from tools.mutants.operators.skipped import is_told
from tools.mutants.operators.source import Source


def calls(source: Source, node: ast.AST) -> Iterator[Change]:
    """A call that was made for its effect: an ack, a publish, a wake, a write."""
    if not isinstance(node, ast.Expr):
        return
    call = node.value.value if isinstance(node.value, ast.Await) else node.value
    if isinstance(call, ast.Call) and not is_told(call) and not _is_super(call):
        yield _without(source, node, "call")


def raises(source: Source, node: ast.AST) -> Iterator[Change]:
    """A refusal that is passed over, an exception that is swallowed."""
    if isinstance(node, ast.Raise) and not _is_last_of_function(source, node):
        yield _without(source, node, "raise")


def early_ends(source: Source, node: ast.AST) -> Iterator[Change]:
    """A return or continue below an `if`, with code behind it."""
    if not isinstance(node, ast.Return | ast.Continue | ast.Break):
        return
    parent = source.parent(node)
    if isinstance(parent, ast.If) and node in parent.body and not _is_last(source, parent):
        yield _without(source, node, "early end")


def _without(source: Source, node: ast.stmt, operator: str) -> Change:
    start, end = source.span(node)
    return Change(operator, start, end, "pass")


def _is_super(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
            return True
    return False


def _is_last_of_function(source: Source, node: ast.stmt) -> bool:
    """The type checker misses the value of a function that then returns without one."""
    parent = source.parent(node)
    return isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef) and parent.body[-1] is node


def _is_last(source: Source, node: ast.stmt) -> bool:
    parent = source.parent(node)
    body = getattr(parent, "body", [])
    return bool(body) and body[-1] is node
