"""What became of commands, by what the driver knows them by."""

from collections import defaultdict
from typing import Final

from tools.chaos.checks.model import Checked
from tools.chaos.observed.facts import Facts, Row, registers

FINAL: Final = {"canceled", "no_op", "forced", "stop_failed", "leftovers_stopped", "abandoned"}


class Answers:
    """The reason of a command is unique, but that of many at once: they go by their ids."""

    def __init__(self, facts: Facts) -> None:
        self.rows: dict[str, list[Row]] = defaultdict(list)
        self.letters: dict[str, list[Row]] = defaultdict(list)
        shared = {entry["key"] for entry in facts.entries("bulk")}
        for row in facts.cancellations:
            reason = row["reason"]
            self.rows[str(row["command_id"]) if reason in shared else reason].append(row)
        for letter in facts.letters:
            if registers(letter):
                continue
            # The gateway gives the request's id on as correlation id; a direct command's reason
            # is its own id.
            key = letter["correlation_id"]
            by_id = key is None or key in shared
            self.letters[str(letter["command_id"]) if by_id else key].append(letter)

    def keys(self) -> set[str]:
        return self.rows.keys() | self.letters.keys()

    def check(
        self,
        checked: Checked,
        key: str,
        name: str,
        messages: tuple[int, int],
        run_id: int,
        times: tuple[float, float],
    ) -> None:
        """Hold one command, of which at least and at most so many messages came to the broker."""
        least, most = messages
        rows, letters = self.rows.get(key, []), self.letters.get(key, [])
        outcomes = [row["outcome"] for row in rows]
        ended = max(
            (row["finished_at"].timestamp() for row in rows if row["finished_at"]), default=0
        )
        lifetime = (times[0], max(times[1], ended))
        is_done = all(outcome in FINAL for outcome in outcomes)
        checked.hold(is_done, f"{name} is half done: {outcomes}", lifetime)
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
