"""Entries of the audit in words."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from shared.states import Via
from worker.console.audit.listing import Entry, Kind

KINDS: Final = {
    Kind.ACTIONS: "all but cancels",
    Kind.ALL: "all, with cancels",
    Kind.LETTERS: "dead letters",
    Kind.HOSTS: "hosts",
    Kind.CANCELS: "cancels",
    Kind.SIGN_INS: "signing in",
    Kind.PRUNES: "pruning",
}
"""What a list may tell of, for people."""

_VERBS: Final = {
    "edited": "edited and replayed",
    "pruned": "pruned",
    "host_forgotten": "forgot host",
    "signed_in": "signed in to",
    "canceled": "asked to cancel",
}
_HOST_VERBS: Final = {
    "rebooted": "found rebooted:",
    "returned": "came back to",
    "container_lost": "found without its container:",
}


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence with a link: `verb` `thing`, and the rest."""

    verb: str
    thing: str
    address: str | None
    rest: str


def said(entry: Entry) -> Said:
    verb = _VERBS.get(entry.action, entry.action.replace("_", " "))
    match entry.position.source:
        case "letter":
            return Said(
                verb, f"letter {entry.object}", f"/dead-letters/{entry.object}", _of_letter(entry)
            )
        case "host":
            host_verb = _HOST_VERBS.get(entry.action, verb)
            address = f"/hosts/{quote(entry.object, safe='')}"
            return Said(host_verb, f"host {entry.object}", address, _of_host(entry))
        case "cancel":
            return Said(verb, f"run {entry.object}", f"/runs/{entry.object}", _of_cancel(entry))
    if entry.action == "signed_in":
        return Said(verb, f"the {entry.object}", None, "")
    return Said(verb, entry.object, None, _flat(entry.detail))


def _of_letter(entry: Entry) -> str:
    said = [f"as command {entry.detail['command_id']}"] if entry.detail["command_id"] else []
    return "; ".join([*said, *([entry.detail["note"]] if entry.detail.get("note") else [])])


def _of_host(entry: Entry) -> str:
    runs = entry.detail["runs"]
    said = [entry.detail["reason"]] if entry.detail["reason"] else []
    if runs:
        first = ", ".join(map(str, entry.detail["first_runs"]))
        said.append(f"{'run' if runs == 1 else f'{runs} runs:'} {first}{', …' if runs > 5 else ''}")
    return "; ".join(said)


def _of_cancel(entry: Entry) -> str:
    detail = entry.detail
    said = [detail["reason"]] if detail["reason"] else []
    if detail["force"]:
        said.append("by force")
    publisher = detail["publisher"] or "an unknown publisher"
    said.append("over the REST API" if detail["via"] == Via.REST else f"as {publisher} says")
    said.append(f"outcome: {detail['outcome'] or 'none yet'}")
    return "; ".join(said)


def _flat(detail: object) -> str:
    """An object in words: numbers before what they count, texts after their names."""
    if not isinstance(detail, dict):
        return "" if detail is None else str(detail)
    said = []
    for name, value in detail.items():
        words = name.replace("_", " ")
        match value:
            case bool() | None:
                said += [words] if value else []
            case int():
                said.append(f"{value:,} {words}")
            case dict():
                said.append(_flat(value))
            case _:
                said.append(f"{words} {value}")
    return ", ".join(filter(None, said))
