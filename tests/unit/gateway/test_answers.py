"""What 202 says."""

import pytest

from gateway import schemas
from gateway.cancels.answers import cancel_answer
from shared.commands import BIGINT_MAX
from shared.states import RunStatus


@pytest.mark.parametrize("status", RunStatus)
@pytest.mark.parametrize("run_id", [1, BIGINT_MAX])
def test_the_answer_for_any_run_is_what_the_document_says(run_id: int, status: RunStatus) -> None:
    answer = cancel_answer(run_id, status)

    described = schemas.CancelAnswer.model_validate(answer)
    assert list(described.model_dump().items()) == list(answer.items())
