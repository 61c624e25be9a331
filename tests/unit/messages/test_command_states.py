"""What an open command waits for: the end of a stop, or the worker of its run."""

import pytest

from shared.states import CommandState, HostState, RunStatus, command_state

OPEN_ON = [RunStatus.RUNNING, RunStatus.CANCELING, RunStatus.ERROR]


@pytest.mark.parametrize("host_state", HostState)
@pytest.mark.parametrize("status", OPEN_ON)
def test_only_a_worker_that_is_up_stops_a_run(status: RunStatus, host_state: HostState) -> None:
    is_stopping = (status, host_state) == (RunStatus.CANCELING, HostState.UP)

    expected = CommandState.STOPPING if is_stopping else CommandState.PENDING
    assert command_state(status.value, host_state.value) is expected
