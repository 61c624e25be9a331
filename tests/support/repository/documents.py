"""What the documents tell others to run, cut out of them."""

import re
import shlex
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[3]
README: Final = ROOT / "README.md"
DOCS: Final = ROOT / "docs"
MESSAGES: Final = DOCS / "messages.md"
DEAD_LETTERS: Final = DOCS / "dead-letters.md"


class Permissions(NamedTuple):
    """Patterns of names, and of routing keys of the exchange for commands, if those are limited."""

    configure: str
    write: str
    read: str
    publish: str | None = None
    bind: str | None = None


def documents() -> list[Path]:
    """All that is written for people."""
    return sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])


def code_block(info: str) -> str:
    """The one block that begins with ```INFO."""
    text = "".join(document.read_text() for document in documents())
    (block,) = re.findall(rf"^```{info}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return str(block)


def broker_commands() -> list[list[str]]:
    """What operators are told to run on the broker's machine, as words."""
    text = "".join(document.read_text() for document in documents())
    blocks = re.findall(r"^```sh broker\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def permissions() -> dict[str, Permissions]:
    """What the document's commands allow each broker user."""
    names: dict[str, list[str]] = {}
    keys: dict[str, list[str]] = {}
    for line in code_block("sh permissions").splitlines():
        match shlex.split(line, comments=True):
            case ["rabbitmqctl", "set_permissions", user, *patterns]:
                names[user] = patterns
            case ["rabbitmqctl", "set_topic_permissions", user, "runs.commands", *patterns]:
                keys[user] = patterns
            case words:
                assert not words
    # Without a write permission, there is nothing to limit.
    assert set(keys) == {user for user in names if "runs" in names[user][1]}
    return {user: Permissions(*names[user], *keys.get(user, ())) for user in names}
