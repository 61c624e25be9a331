"""What 202 says."""

import pytest

from gateway import schemas
from gateway.cancels.answers import RunState, cancel_answer
from shared.limits import BIGINT_MAX
from shared.states import RunStatus


@pytest.mark.parametrize("status", RunStatus)
@pytest.mark.parametrize("leftovers_possible", [False, True])
@pytest.mark.parametrize("run_id", [1, BIGINT_MAX])
def test_the_answer_for_any_run_is_what_the_document_says(
    run_id: int, leftovers_possible: bool, status: RunStatus
) -> None:
    answer = cancel_answer(run_id, RunState(status, leftovers_possible))

    described = schemas.CancelAnswer.model_validate(answer)
    assert list(described.model_dump().items()) == list(answer.items())
