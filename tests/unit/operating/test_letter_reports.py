"""What is printed of a replay."""

import pytest

from worker.dead_letters.command_line.reports import print_summary
from worker.dead_letters.kinds import ReplayStatus
from worker.dead_letters.replays.replay import Summary
from worker.dead_letters.replays.replay_results import Result


def test_what_publishers_chose_is_no_command_to_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    dead = Result(
        1, None, None, ReplayStatus.DEAD_AGAIN, reason="foreign", error="\x1b[31m\nsettled 9"
    )

    print_summary(Summary(replayed=1, results=[dead]), as_json=False)

    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == r"letter 1: dead again (foreign): \x1b[31m\nsettled 9"
    assert len(lines) == 3
