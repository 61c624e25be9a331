"""P1, P2: what was accepted has exactly one outcome, or is a dead letter; nothing is half done."""

from collections import Counter, defaultdict

from tools.chaos.checks import many
from tools.chaos.checks.answers import Answers
from tools.chaos.checks.model import Checked
from tools.chaos.driver.journal import Entry
from tools.chaos.observed.facts import Facts, registers


def check(facts: Facts) -> Checked:
    checked = Checked("P1 P2", "accepted commands have one outcome or dead letter")
    answers = Answers(facts)
    requests = facts.entries("request")
    for request in requests:
        _check_request(checked, answers, request)
    published: dict[str, list[Entry]] = defaultdict(list)
    for entry in facts.entries("publish"):
        published[entry["command_id"]].append(entry)
    for command_id, entries in published.items():
        _check_command(checked, answers, command_id, entries)
    of_many = many.commands(facts)
    for command in of_many:
        name = f"command {command.command_id} for run {command.run_id} (one of {command.key})"
        answers.check(
            checked, command.command_id, name, command.messages, command.run_id, command.times
        )
    known = {request["request_id"] for request in requests} | published.keys()
    known |= {command.command_id for command in of_many}
    for key in answers.keys() - known:
        checked.hold(False, f"a command is on record that the load did not send: {key}")
    _check_reasons(checked, facts)
    return checked


def _check_request(checked: Checked, answers: Answers, request: Entry) -> None:
    key, status = request["request_id"], request["status"]
    name = f"request {key} for run {request['run_id']} (answered {status})"
    least = 1 if status == 202 else 0
    # Also where the answer was lost or 503: the command may have got through.
    most = 1 if status in (202, 503, None) else 0
    times = (request["began"], request["at"])
    answers.check(checked, key, name, (least, most), request["run_id"], times)


def _check_command(checked: Checked, answers: Answers, key: str, entries: list[Entry]) -> None:
    results = Counter(entry["result"] for entry in entries)
    run_id = entries[0]["run_id"]
    name = f"command {key} for run {run_id} (published: {dict(results)})"
    least = 1 if results["confirmed"] else 0
    most = 1 if results["confirmed"] + results["unknown"] else 0
    times = (entries[0]["at"], entries[-1]["at"])
    answers.check(checked, key, name, (least, most), run_id, times)


def _check_reasons(checked: Checked, facts: Facts) -> None:
    for letter in facts.letters:
        if registers(letter):
            continue
        run = facts.runs.get(letter["run_id"] or 0)
        # A command that is too early is told so, if the run comes only after its last attempt.
        is_early = run is None or letter["last_failed_at"] <= run["created_at"]
        allowed = {"unknown_run"} if is_early else {"stop_failed"}
        what = f"{letter['reason']} ({letter['error'][:200]})"
        text = f"command {letter['command_id']} for run {letter['run_id']} is dead: {what}"
        checked.hold(letter["reason"] in allowed, text)
