"""Plausible mistakes in SQL. All leave statements that Postgres can still prepare, as a rule.

A forgotten condition is written as `(… OR true)`, so that no parameter of the statement is left
without a use: that would be an error, not a mistake that a test has to notice.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from tools.mutants.mutant import Change
from tools.mutants.operators.sql.tokens import Token

_SWAPPED: Final = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "<>": "=",
    "GREATEST": "least",
    "LEAST": "greatest",
    "MIN": "max",
    "MAX": "min",
    "DESC": "ASC",
}
_BEFORE_CONDITION: Final = {"WHERE", "WHEN", "AND", "OR", "HAVING"}
"""Not ON: nobody forgets what a join is by."""
_AFTER_CONDITION: Final = {
    *("AND", "OR", "THEN", "ELSE", "END", "ORDER", "GROUP", "LIMIT", "FOR", "RETURNING", "JOIN"),
    *("LEFT", "WHERE", "UNION", "HAVING", "AS", "ON", "SET", "OFFSET", ",", ";"),
}


def changes(found: Sequence[Token]) -> Iterator[Change]:
    for index in range(len(found)):
        yield from _swapped(found, index)
        yield from _equality(found, index)
        yield from _conjunction(found, index)
        yield from _condition(found, index)
        yield from _negation(found, index)
        yield from _lock(found, index)
        yield from _arithmetic(found, index)
        yield from _fallback(found, index)
        yield from _element(found, index)
        yield from _limit(found, index)


def _swapped(found: Sequence[Token], index: int) -> Iterator[Change]:
    token = found[index]
    if new := _SWAPPED.get(token.word):
        yield Change("SQL swapped", token.start, token.end, new)


def _equality(found: Sequence[Token], index: int) -> Iterator[Change]:
    """Only against a literal in a condition: all others are joins or assignments."""
    token = found[index]
    if token.text != "=" or index + 1 == len(found) or not found[index + 1].is_string:
        return
    if _clause(found, index) in {"WHERE", "ON", "WHEN", "HAVING", "SELECT"}:
        yield Change("SQL equality", token.start, token.end, "<>")


def _conjunction(found: Sequence[Token], index: int) -> Iterator[Change]:
    token = found[index]
    if token.word == "OR" and not _is_replace(found, index):
        yield Change("SQL and/or", token.start, token.end, "AND")
    if token.word == "AND" and not _is_between(found, index):
        yield Change("SQL and/or", token.start, token.end, "OR")


def _condition(found: Sequence[Token], index: int) -> Iterator[Change]:
    """A condition that is not asked for, alone or of several."""
    token = found[index]
    if token.word not in _BEFORE_CONDITION or _is_between(found, index):
        return
    last = _last_of_condition(found, index + 1, token.depth)
    if last is None or (last == index + 1 and found[last].text.upper() in {"TRUE", "FALSE"}):
        return
    first = found[index + 1]
    if first.text.startswith("{") and last == index + 1:
        return
    around = {token.word, "AND" if _follows(found, last, token.depth, "AND") else ""}
    around.add("OR" if _follows(found, last, token.depth, "OR") else "")
    neutral = "AND false" if "OR" in around and "AND" not in around else "OR true"
    text = f"({_text(found, index + 1, last)} {neutral})"
    yield Change("SQL condition", first.start, found[last].end, text)


def _text(found: Sequence[Token], first: int, last: int) -> str:
    """The tokens as they stand, without comments; line breaks become spaces."""
    parts = [found[first].text]
    for before, after in zip(found[first:last], found[first + 1 : last + 1], strict=True):
        parts.append(after.text if before.end == after.start else f" {after.text}")
    return "".join(parts)


def _last_of_condition(found: Sequence[Token], first: int, depth: int) -> int | None:
    last = None
    between = False
    for index in range(first, len(found)):
        token = found[index]
        if token.depth < depth:
            break
        if token.depth == depth:
            if token.word == "BETWEEN":
                between = True
            elif token.word == "AND" and between:
                between = False
            elif token.word in _AFTER_CONDITION or _is_from(found, index):
                break
        last = index
    return last


def _is_from(found: Sequence[Token], index: int) -> bool:
    return found[index].word == "FROM" and found[index - 1].word != "DISTINCT"


def _follows(found: Sequence[Token], last: int, depth: int, word: str) -> bool:
    return last + 1 < len(found) and found[last + 1].word == word and found[last + 1].depth == depth


def _negation(found: Sequence[Token], index: int) -> Iterator[Change]:
    token = found[index]
    if token.word != "NOT" or index + 1 == len(found):
        return
    following = found[index + 1]
    if following.word in {"MATERIALIZED", "DEFERRABLE"}:
        return
    yield Change("SQL negation", token.start, following.start, "")


def _lock(found: Sequence[Token], index: int) -> Iterator[Change]:
    """A lock that is not taken, or waited for."""
    words = [token.word for token in found[index : index + 5]]
    if words[:2] == ["SKIP", "LOCKED"]:
        yield Change("SQL lock", found[index].start, found[index + 1].end, "")
    if words[:2] in (["FOR", "UPDATE"], ["FOR", "SHARE"]):
        end = index + 1
        if words[2:3] == ["OF"]:
            end += 2
        if words[end - index + 1 : end - index + 3] == ["SKIP", "LOCKED"]:
            end += 2
        elif end + 1 < len(found) and found[end + 1].text.startswith("{"):
            end += 1
        yield Change("SQL lock", found[index].start, found[end].end, "")


def _arithmetic(found: Sequence[Token], index: int) -> Iterator[Change]:
    """`-` for `+` with times and numbers."""
    token = found[index]
    if token.text not in "+-" or not 0 < index < len(found) - 1:
        return
    yield Change("SQL arithmetic", token.start, token.end, "-" if token.text == "+" else "+")


def _fallback(found: Sequence[Token], index: int) -> Iterator[Change]:
    """`a` for `coalesce(a, b)`, and `b`."""
    if found[index].word != "COALESCE":
        return
    parts = _arguments(found, index + 1)
    end = found[parts[-1][1] + 1].end if parts else 0
    for first, last in parts:
        yield Change("SQL fallback", found[index].start, end, f"({_text(found, first, last)})")


def _element(found: Sequence[Token], index: int) -> Iterator[Change]:
    """One fewer of `IN ('a', 'b')`."""
    if found[index].word != "IN" or index + 1 == len(found) or found[index + 1].text != "(":
        return
    parts = _arguments(found, index + 1)
    if len(parts) < 2 or any(first != last or not found[first].is_string for first, last in parts):
        return
    for number, (first, _) in enumerate(parts):
        others = [found[one].text for other, (one, _) in enumerate(parts) if other != number]
        start, end = found[index + 1].start, found[parts[-1][1] + 1].end
        if start <= found[first].start:
            yield Change("SQL element", start, end, f"({', '.join(others)})")


def _limit(found: Sequence[Token], index: int) -> Iterator[Change]:
    """A limit that is one too low; `LIMIT 1` only tells the planner something."""
    if found[index].word == "LIMIT" and index + 1 < len(found):
        number = found[index + 1]
        if number.text.startswith("$"):
            yield Change("SQL limit", number.start, number.end, f"{number.text} - 1")


def _arguments(found: Sequence[Token], opening: int) -> list[tuple[int, int]]:
    """The first and the last token of each argument of these parentheses."""
    depth = found[opening].depth
    parts: list[tuple[int, int]] = []
    first = opening + 1
    for index in range(opening + 1, len(found)):
        token = found[index]
        if (token.text == "," and token.depth == depth + 1) or (
            token.text == ")" and token.depth == depth
        ):
            parts.append((first, index - 1))
            first = index + 1
            if token.text == ")":
                return parts
    return []


def _is_between(found: Sequence[Token], index: int) -> bool:
    """Whether this AND is that of BETWEEN."""
    depth = found[index].depth
    for token in reversed(found[max(0, index - 12) : index]):
        if token.depth == depth and token.word in {"AND", "OR", "WHERE"}:
            return False
        if token.depth == depth and token.word == "BETWEEN":
            return True
    return False


def _is_replace(found: Sequence[Token], index: int) -> bool:
    return index > 0 and found[index - 1].word == "CREATE"


def _clause(found: Sequence[Token], index: int) -> str:
    depth = found[index].depth
    for token in reversed(found[:index]):
        if token.depth > depth:
            continue
        depth = token.depth
        if token.word in {"WHERE", "ON", "WHEN", "HAVING", "SELECT", "SET", "THEN", "ELSE"}:
            return token.word
    return ""
