"""What the README and docs/messages.md tell others to run, cut out of them."""

import re
import shlex
from pathlib import Path
from typing import Final, NamedTuple

README: Final = Path(__file__).parents[2] / "README.md"
DOCS: Final = README.parent / "docs"
MESSAGES: Final = DOCS / "messages.md"


class Permissions(NamedTuple):
    """Patterns of names."""

    configure: str
    write: str
    read: str


def code_block(info: str) -> str:
    """The one block that begins with ```INFO."""
    text = README.read_text() + MESSAGES.read_text()
    (block,) = re.findall(rf"^```{info}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return str(block)


def permissions() -> dict[str, Permissions]:
    """What the document's commands allow each broker user."""
    allowed = {}
    for line in code_block("sh permissions").splitlines():
        if words := shlex.split(line, comments=True):
            program, action, user, *patterns = words
            assert (program, action) == ("rabbitmqctl", "set_permissions")
            allowed[user] = Permissions(*patterns)
    return allowed
