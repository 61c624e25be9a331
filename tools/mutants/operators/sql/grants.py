"""Changes of `roles.sql`: a right that a role lacks, or has too much of."""

from collections.abc import Iterator, Sequence
from typing import Final

from tools.mutants.mutant import Change, Mutant, mutant_of
from tools.mutants.operators.sql.tokens import Token, tokens

_STATEMENTS: Final = {"GRANT", "REVOKE"}


def mutants(file: str, text: str) -> Iterator[Mutant]:
    found = tokens(text)
    for index, token in enumerate(found):
        if token.word in _STATEMENTS and (index == 0 or found[index - 1].text == ";"):
            end = next(i for i in range(index, len(found)) if found[i].text == ";")
            statement = found[index : end + 1]
            name = " ".join(each.text for each in statement[-4:-1])
            for change in _changes(statement):
                yield mutant_of(file, f"{token.word} … {name}", text, change)


def _changes(statement: Sequence[Token]) -> Iterator[Change]:
    if statement[0].word == "REVOKE":
        yield Change("right not revoked", statement[0].start, statement[-1].end, "")
        return
    for opening, closing in _lists(statement):
        start, end = statement[opening].start, statement[closing].end
        yield Change("right to all columns", start, end, "")
        inner = [each for each in statement[opening + 1 : closing] if each.text != ","]
        for one in inner if len(inner) > 1 else ():
            rest = ", ".join(each.text for each in inner if each is not one)
            yield Change("column without a right", start, end, f"({rest})")


def _lists(statement: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """The parentheses with columns."""
    opening = None
    for index, token in enumerate(statement):
        if token.text == "(":
            opening = index
        elif token.text == ")" and opening is not None:
            yield opening, index
