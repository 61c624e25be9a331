"""Where our code uses a name that begins with an underscore and is not its own."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

OURS: Final = ("gateway", "shared", "worker", "tools", "tests")
# Documented, for all that they begin with an underscore.
_PUBLIC: Final = frozenset({"_asdict", "_exit", "_field_defaults", "_fields", "_make", "_replace"})
_BY_NAME: Final = frozenset({"delattr", "getattr", "hasattr", "setattr"})
_BY_PATH: Final = frozenset({"delattr", "setattr", "import_module", "__import__", "patch"})


@dataclass(frozen=True, slots=True)
class Use:
    """A private name of a library or of Python, in a file relative to the project."""

    file: str
    line: int
    name: str


@dataclass(slots=True)
class _Class:
    names: set[str] = field(default_factory=set)
    bases: tuple[str, ...] = ()


def private_uses(root: Path) -> list[Use]:
    """All uses in our packages below `root`."""
    trees = {
        path.relative_to(root): ast.parse(path.read_text())
        for package in OURS
        for path in sorted((root / package).rglob("*.py"))
    }
    # Walked once: that takes longer than parsing.
    nodes = {path: list(ast.walk(tree)) for path, tree in trees.items()}
    classes: dict[str, _Class] = {}
    for of_file in nodes.values():
        for node in of_file:
            if isinstance(node, ast.ClassDef):
                # Of two with one name, either's names count.
                known = classes.setdefault(node.name, _Class())
                known.names |= attributes(node)
                known.bases += tuple(map(_last, node.bases))
    return [
        use
        for path, tree in trees.items()
        for use in _File(path, tree, nodes[path], classes).uses()
    ]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("_") and name not in _PUBLIC


class _File:
    def __init__(
        self, path: Path, tree: ast.Module, nodes: list[ast.AST], classes: Mapping[str, _Class]
    ) -> None:
        self._path = path
        self._tree = tree
        self._classes = classes
        self._defined = _defined(nodes)
        self._own_modules = {
            alias.asname or alias.name.partition(".")[0]
            for node in nodes
            if isinstance(node, ast.Import | ast.ImportFrom) and _is_ours(node)
            for alias in node.names
        }

    def uses(self) -> Iterator[Use]:
        yield from self._within(self._tree, None)

    def _within(self, node: ast.AST, inside: str | None) -> Iterator[Use]:
        if isinstance(node, ast.ClassDef):
            inside = node.name
        for line, name in self._named(node, inside):
            yield Use(self._path.as_posix(), line, name)
        for child in ast.iter_child_nodes(node):
            yield from self._within(child, inside)

    def _named(self, node: ast.AST, inside: str | None) -> Iterator[tuple[int, str]]:
        match node:
            case ast.Import() | ast.ImportFrom() if not _is_ours(node):
                parts = [alias.name for alias in node.names]
                if isinstance(node, ast.ImportFrom):
                    parts.append(node.module or "")
                names = {name for part in parts for name in part.split(".")}
                yield from ((node.lineno, name) for name in sorted(filter(is_private, names)))
            case ast.Attribute(value=of, attr=name) if self._is_foreign(of, name, inside):
                yield node.lineno, name
            case ast.Call(args=[of, ast.Constant(value=str(name)), *_]) if _last(
                node.func
            ) in _BY_NAME and self._is_foreign(of, name, inside):
                yield node.lineno, name
            case ast.Call(args=[ast.Constant(value=str(path)), *_]) if (
                _last(node.func) in _BY_PATH and path.partition(".")[0] not in OURS
            ):
                yield from ((node.lineno, name) for name in path.split(".") if is_private(name))

    def _is_foreign(self, of: ast.expr, name: str, inside: str | None) -> bool:
        if not is_private(name):
            return False
        match of:
            case ast.Name(id="self" | "cls") if inside is not None:
                return name not in self._names_of(inside)
            case ast.Name(id=module) if module in self._own_modules:
                return False
        return name not in self._defined

    def _names_of(self, name: str) -> set[str]:
        if name not in self._classes:
            return set()
        known = self._classes[name]
        return known.names.union(*(self._names_of(base) for base in known.bases if base != name))


def attributes(of: ast.ClassDef) -> set[str]:
    """The names that a class gives to itself or to its instances."""
    found = set()
    for node in of.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id="__slots__")], value=ast.Tuple(elts=slots)):
                found |= {str(slot.value) for slot in slots if isinstance(slot, ast.Constant)}
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    for inner in ast.walk(of):
        match inner:
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                found.add(name)
    return found


def _defined(nodes: list[ast.AST]) -> set[str]:
    found = set()
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name):
                found |= {name, *attributes(node)}
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
    return found


def _is_ours(node: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or (node.module or "").partition(".")[0] in OURS
    return all(alias.name.partition(".")[0] in OURS for alias in node.names)


def _last(expression: ast.expr) -> str:
    """`C` of `a.b.C` and of `C[int]`."""
    match expression:
        case ast.Subscript(value=value):
            return _last(value)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""
