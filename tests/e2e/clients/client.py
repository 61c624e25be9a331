"""Registers, cancels and lists runs with the generated package alone; prints what it was told."""

import json
import sys
from uuid import UUID

from run_cancellation_client import AuthenticatedClient
from run_cancellation_client.api.runs import (
    cancel_run,
    cancel_runs,
    get_cancellation,
    get_run,
    list_runs,
    post_runs,
    put_run,
)
from run_cancellation_client.models import (
    BulkCancelRequest,
    CancelRequest,
    ListRunsStatus,
    RegisterRequest,
    RegisterRuns,
)

url, token, first = sys.argv[1:]
run = int(first)
labels = {"branch": "main"}
with AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True) as client:
    put_run.sync(run, client=client, body=RegisterRequest.from_dict({"labels": labels}))
    runs = {"runs": [{"run_id": run}, {"run_id": run + 1, "labels": labels}]}
    registered = post_runs.sync(client=client, body=RegisterRuns.from_dict(runs))
    canceled = cancel_run.sync_detailed(
        run, client=client, body=CancelRequest(reason="by a generated client")
    )
    command = UUID(canceled.headers["X-Command-Id"])
    outcome = None
    for _ in range(20):  # a worker may not have had it yet: then it is 404
        settled = get_cancellation.sync(run, command, client=client, wait=5)
        if outcome := getattr(settled, "outcome", None):
            break
    superseded = {"labels": labels, "before_run": run + 2}
    many = cancel_runs.sync(client=client, body=BulkCancelRequest.from_dict(superseded))
    over = get_run.sync(run + 1, client=client, wait=10)
    found = list_runs.sync(client=client, label=["branch:main"], status=ListRunsStatus.CANCELED)
    missing = get_run.sync(404404, client=client)
    print(
        json.dumps(
            {
                "registered": [it.result for it in registered.results],
                "status": canceled.parsed.status,
                "outcome": outcome,
                "matched": many.matched,
                "over": over.status,
                "listed": [it.run_id for it in found.runs],
                "missing": missing.code,
            }
        )
    )
