"""Wrong values: another member of an enumeration, one too many or too few."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tools.mutants.mutant import Change
from tools.mutants.operators.source import Source

Members = Mapping[str, Sequence[str]]
"""The members of each enumeration, by its name."""

_BOUNDS: Final = {"ge", "gt", "le", "lt", "min_length", "max_length"}
_ENUMS: Final = {"Enum", "StrEnum", "IntEnum"}


def enumerations(tree: ast.Module) -> dict[str, list[str]]:
    return {
        node.name: names
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id in _ENUMS for base in node.bases)
        and len(names := _assigned(node)) > 1
    }


def _assigned(node: ast.ClassDef) -> list[str]:
    return [
        each.targets[0].id
        for each in node.body
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
    ]


def members(source: Source, node: ast.AST, known: Members) -> Iterator[Change]:
    """The next member for the one that is meant."""
    match node:
        case ast.Attribute(value=ast.Name(id=name), attr=member) if member in known.get(name, ()):
            names = known[name]
            other = names[(names.index(member) + 1) % len(names)]
            yield Change("member", *source.span(node), f"{name}.{other}")


def bounds(source: Source, node: ast.AST) -> Iterator[Change]:
    """A bound of a field that is one higher or lower."""
    match node:
        case ast.keyword(arg=name, value=ast.Constant(value=int()) | ast.Name() as value) if (
            name in _BOUNDS
        ):
            for step in ("+ 1", "- 1"):
                yield Change("bound", *source.span(value), f"{source.of(value)} {step}")


def steps(source: Source, node: ast.AST) -> Iterator[Change]:
    """`n` for `n + 1`."""
    match node:
        case ast.BinOp(
            op=ast.Add() | ast.Sub(), left=left, right=ast.Constant(value=int() | float())
        ):
            yield Change("step", source.span(left)[1], source.span(node)[1], _closing(source, node))


def _closing(source: Source, node: ast.BinOp) -> str:
    """The parentheses that are left open without the right side."""
    between = source.text[source.span(node.left)[1] : source.span(node)[1]]
    return ")" * max(0, between.count(")") - between.count("("))


def extremes(source: Source, node: ast.AST) -> Iterator[Change]:
    """`max` for `min`."""
    match node:
        case ast.Call(func=ast.Name(id="min" | "max" as name), args=[_, _, *_]):
            yield Change("extreme", *source.span(node.func), "max" if name == "min" else "min")


def flags(source: Source, node: ast.AST) -> Iterator[Change]:
    """`mandatory=False` for `mandatory=True`."""
    match node:
        case ast.keyword(arg=str(), value=ast.Constant(value=bool() as value) as constant):
            yield Change("flag", *source.span(constant), str(not value))


def elements(source: Source, node: ast.AST) -> Iterator[Change]:
    """One fewer of those that are permitted, looked for or caught."""
    if not isinstance(node, ast.Tuple | ast.List | ast.Set) or len(node.elts) < 2:
        return
    if not _is_a_choice(source, node):
        return
    for index, element in enumerate(node.elts):
        start, end = source.span(element)
        if index + 1 < len(node.elts):
            end = source.span(node.elts[index + 1])[0]
        else:
            start = source.span(node.elts[index - 1])[1]
        comma = "," if len(node.elts) == 2 and index == 1 and isinstance(node, ast.Tuple) else ""
        yield Change("element", start, end, comma)


def _is_a_choice(source: Source, node: ast.expr) -> bool:
    match source.parent(node):
        case ast.Compare(ops=[ast.In() | ast.NotIn()]):
            return True
        case ast.ExceptHandler():
            return True
        case ast.AnnAssign(target=ast.Name(id=name)):
            return name.isupper() and isinstance(node, ast.Set | ast.Tuple)
        case ast.Call(func=ast.Name(id="frozenset")):
            return True
    return False
