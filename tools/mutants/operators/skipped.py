"""What is no rule: logs, spans, metrics, type hints, decorators, texts for people."""

import ast
from typing import Final

from tools.mutants.operators.source import Source

_TOLD: Final = {
    "log",
    "logger",
    "_log",
    "span",
    "_span",
    "_metrics",
    "metrics",
    "_tracer",
    "tracer",
}
_TOLD_BY: Final = {"set_attribute", "bind_contextvars", "debug", "info", "warning", "echo", "print"}
_FOR_PEOPLE: Final = {"__repr__", "__str__"}
_TEXTS: Final = {"description", "help", "title", "examples", "json_schema_extra"}


def is_skipped(source: Source, node: ast.AST) -> bool:
    """Whether this, or what it is part of, is of no interest."""
    inner = node
    for each in (node, *source.ancestors(node)):
        match each:
            case ast.Assert():
                return True
            case ast.Call() if is_told(each):
                return True
            case ast.keyword(arg=name) if name in _TEXTS:
                return True
            case ast.AnnAssign() if inner is each.annotation:
                return True
            case ast.arg() if inner is each.annotation:
                return True
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if each.name in _FOR_PEOPLE or inner is each.returns:
                    return True
                if inner in each.decorator_list:
                    return True
            case ast.ClassDef() if inner in each.decorator_list:
                return True
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return True
        inner = each
    return False


def is_told(call: ast.Call) -> bool:
    """Whether the call tells an observer something."""
    function = call.func
    if isinstance(function, ast.Name):
        return function.id in _TOLD_BY
    while isinstance(function, ast.Attribute | ast.Call):
        if isinstance(function, ast.Call):
            function = function.func
            continue
        if function.attr in _TOLD_BY or function.attr in _TOLD:
            return True
        function = function.value
    return isinstance(function, ast.Name) and function.id in _TOLD
