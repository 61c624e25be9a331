"""P1, P2: what was accepted has exactly one outcome, or is a dead letter; nothing is half done."""

from collections import Counter, defaultdict
from typing import Final

from tools.chaos.checks.model import Checked
from tools.chaos.driver.journal import Entry
from tools.chaos.observed.facts import Facts, Row

FINAL: Final = {"canceled", "no_op", "forced", "stop_failed", "leftovers_stopped", "abandoned"}
UNKNOWN_RUNS: Final = 10**12
"""Ids from here on are of runs that never were."""


class _Answers:
    """What became of commands, by what the driver knows them by: its reason is unique."""

    def __init__(self, facts: Facts) -> None:
        self.rows: dict[str, list[Row]] = defaultdict(list)
        self.letters: dict[str, list[Row]] = defaultdict(list)
        for row in facts.cancellations:
            self.rows[row["reason"]].append(row)
        for letter in facts.letters:
            # The gateway gives the request's id on as correlation id; a direct command's reason
            # is its own id.
            self.letters[letter["correlation_id"] or str(letter["command_id"])].append(letter)


def check(facts: Facts) -> Checked:
    checked = Checked("P1 P2", "accepted commands have one outcome or dead letter")
    answers = _Answers(facts)
    requests = facts.entries("request")
    for request in requests:
        _check_request(checked, answers, request)
    published: dict[str, list[Entry]] = defaultdict(list)
    for entry in facts.entries("publish"):
        published[entry["command_id"]].append(entry)
    for command_id, entries in published.items():
        _check_command(checked, answers, command_id, entries)
    known = {request["request_id"] for request in requests} | published.keys()
    for key in (answers.rows.keys() | answers.letters.keys()) - known:
        checked.hold(False, f"a command is on record that the load did not send: {key}")
    _check_reasons(checked, facts)
    return checked


def _check_request(checked: Checked, answers: _Answers, request: Entry) -> None:
    key, status = request["request_id"], request["status"]
    name = f"request {key} for run {request['run_id']} (answered {status})"
    least = 1 if status == 202 else 0
    # Also where the answer was lost or 503: the command may have got through.
    most = 1 if status in (202, 503, None) else 0
    times = (request["began"], request["at"])
    _check_answer(checked, answers, key, name, (least, most), request["run_id"], times)


def _check_command(checked: Checked, answers: _Answers, key: str, entries: list[Entry]) -> None:
    results = Counter(entry["result"] for entry in entries)
    run_id = entries[0]["run_id"]
    name = f"command {key} for run {run_id} (published: {dict(results)})"
    least = 1 if results["confirmed"] else 0
    most = 1 if results["confirmed"] + results["unknown"] else 0
    times = (entries[0]["at"], entries[-1]["at"])
    _check_answer(checked, answers, key, name, (least, most), run_id, times)


def _check_answer(
    checked: Checked,
    answers: _Answers,
    key: str,
    name: str,
    messages: tuple[int, int],
    run_id: int,
    times: tuple[float, float],
) -> None:
    least, most = messages
    rows, letters = answers.rows.get(key, []), answers.letters.get(key, [])
    outcomes = [row["outcome"] for row in rows]
    ended = max((row["finished_at"].timestamp() for row in rows if row["finished_at"]), default=0)
    lifetime = (times[0], max(times[1], ended))
    checked.hold(all(o in FINAL for o in outcomes), f"{name} is half done: {outcomes}", lifetime)
    checked.hold(len(rows) <= most, f"{name} was recorded {len(rows)} times", lifetime)
    checked.hold(len(rows) + len(letters) >= least, f"{name} was lost", times)
    # A stop that failed is both: an outcome so far, and a letter by which to take it up again.
    both = bool(rows) and bool(letters) and not any(_failed(letter) for letter in letters)
    checked.hold(not both, f"{name} has an outcome and a dead letter", lifetime)
    # However often it was published or delivered: nobody replays anything here.
    checked.hold(len(letters) <= most, f"{name} has {len(letters)} dead letters", lifetime)
    of_run = {row["run_id"] for row in [*rows, *letters]}
    checked.hold(of_run <= {run_id}, f"{name} was recorded for runs {of_run}", lifetime)


def _failed(letter: Row) -> bool:
    return bool(letter["reason"] == "stop_failed")


def _check_reasons(checked: Checked, facts: Facts) -> None:
    for letter in facts.letters:
        is_unknown = (letter["run_id"] or 0) >= UNKNOWN_RUNS
        allowed = {"unknown_run"} if is_unknown else {"stop_failed"}
        what = f"{letter['reason']} ({letter['error'][:200]})"
        text = f"command {letter['command_id']} for run {letter['run_id']} is dead: {what}"
        checked.hold(letter["reason"] in allowed, text)
