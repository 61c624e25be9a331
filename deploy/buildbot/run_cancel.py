"""Buildbot with run-cancel: each build is a run, and the stop button goes through the service.

Put this file beside `master.cfg`. docs/platforms.md shows how to use it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, ClassVar

from buildbot import config
from buildbot.plugins import steps
from buildbot.process.results import CANCELLED, EXCEPTION, FAILURE, SKIPPED, SUCCESS
from buildbot.util import httpclientservice, service
from twisted.internet import defer, error
from twisted.logger import Logger
from twisted.python.failure import Failure

log = Logger()

ATTEMPTS = 1000
"""Buildbot may build a request several times. Each build is a run of its own."""

CANCELED = 79
"""The exit code of a run that was canceled after its start."""
NEVER_STARTED = 123
NOT_RUN = 125

OVER = ("pass", "fail", "canceled", "error")
LONGEST_WAIT = 30
REQUEST_TIMEOUT = 10


def run_id_of(request_id: int, attempt: int) -> int:
    """The run of a build request's nth build, counted from 1."""
    if not 0 < attempt < ATTEMPTS:
        raise ValueError(f"build request {request_id}: attempt {attempt} has no run id")
    return request_id * ATTEMPTS + attempt


class RunCancel(service.BuildbotService):
    """Registers a run for each build request of `builders`, and sees that it ends with its build.

    `token` needs the scopes runs:register, runs:read and runs:write. A stop that takes longer than
    `stop_timeout` seconds is left to Buildbot, so this must exceed the grace period of the runs.
    """

    name = "run-cancel"

    def checkConfig(
        self, url: str, token: Any, builders: Sequence[str], stop_timeout: float = 120
    ) -> None:
        if not url.startswith(("http://", "https://")) or url.endswith("/"):
            config.error(f"RunCancel: not the base URL of a gateway: {url!r}")
        if isinstance(builders, str):
            config.error("RunCancel: builders must be a list of names")

    @defer.inlineCallbacks
    def reconfigService(
        self, url: str, token: Any, builders: Sequence[str], stop_timeout: float = 120
    ) -> Generator[Any, Any, None]:
        token = yield self.renderSecrets(token)
        self._builders = frozenset(builders)
        self._stop_timeout = stop_timeout
        self._http = httpclientservice.HTTPSession(
            self.master.httpservice, url, headers={"Authorization": f"Bearer {token}"}
        )

    @defer.inlineCallbacks
    def startService(self) -> Generator[Any, Any, None]:
        yield super().startService()
        self._consumers = []
        for kind, event, handle in (
            ("buildrequests", "new", self._queued),
            ("buildrequests", "unclaimed", self._queued),  # after a build that is to be retried
            ("buildrequests", "complete", self._request_over),
            ("builds", "finished", self._build_over),
        ):
            consumer = yield self.master.mq.startConsuming(handle, (kind, None, event))
            self._consumers.append(consumer)

    @defer.inlineCallbacks
    def stopService(self) -> Generator[Any, Any, None]:
        for consumer in self._consumers:
            yield consumer.stopConsuming()
        yield super().stopService()

    @defer.inlineCallbacks
    def attempt_of(self, request_id: int, build_id: int) -> Generator[Any, Any, int]:
        builds = yield self.master.data.get(("buildrequests", request_id, "builds"))
        return sum(build["buildid"] <= build_id for build in builds)

    @defer.inlineCallbacks
    def register(self, request_id: int, attempt: int) -> Generator[Any, Any, None]:
        """Register the run, or leave it as it is on record. `cancel-exec` waits for it."""
        request = yield self.master.data.get(("buildrequests", request_id))
        buildset = yield self.master.data.get(("buildsets", request["buildsetid"]))
        builder = yield self.master.data.get(("builders", request["builderid"]))
        labels = {"builder": builder["name"], "build_request": str(request_id)}
        for source in buildset["sourcestamps"][:1]:
            labels |= {key: source[key] for key in ("project", "branch") if source[key]}
        run_id = run_id_of(request_id, attempt)
        body = {
            "labels": {key: value for key, value in labels.items() if len(value) <= 255},
            "url": f"{self.master.config.buildbotURL}#/buildrequests/{request_id}",
        }
        # 409: it is past `queued`, or canceled already.
        yield self._ask("put", f"/runs/{run_id}", (200, 201, 409), json=body)

    @defer.inlineCallbacks
    def cancel(self, run_id: int, reason: str) -> Generator[Any, Any, bool]:
        """Cancel the run and wait until it is over; False if that is not known."""
        body = {"reason": reason[:255]}
        if (yield self._ask("post", f"/runs/{run_id}/cancel", (202,), json=body)) is None:
            return False
        give_up_at = self.master.reactor.seconds() + self._stop_timeout
        while (left := give_up_at - self.master.reactor.seconds()) > 0:
            status = yield self.status(run_id, wait=min(LONGEST_WAIT, int(left) + 1))
            if status in OVER:
                return True
            if status is None:
                return False
        log.error("run {run_id} is still not over", run_id=run_id)
        return False

    @defer.inlineCallbacks
    def status(self, run_id: int, wait: int = 0) -> Generator[Any, Any, str | None]:
        """The run's status, as soon as it is over or after `wait` seconds; None if unknown."""
        params = {"wait": str(wait)} if wait else {}
        run = yield self._ask(
            "get", f"/runs/{run_id}", (200,), params=params, timeout=wait + REQUEST_TIMEOUT
        )
        return run and run["status"]

    @defer.inlineCallbacks
    def _queued(self, _: object, request: dict[str, Any]) -> Generator[Any, Any, None]:
        if (yield self._is_ours(request)):
            yield self.register(request["buildrequestid"], (yield self._next_attempt(request)))

    @defer.inlineCallbacks
    def _request_over(self, _: object, request: dict[str, Any]) -> Generator[Any, Any, None]:
        # Canceled in the queue, or merged into another request: there is no build that ends.
        if request["results"] in (CANCELLED, SKIPPED) and (yield self._is_ours(request)):
            yield self._end(request, (yield self._next_attempt(request)))

    @defer.inlineCallbacks
    def _build_over(self, _: object, build: dict[str, Any]) -> Generator[Any, Any, None]:
        if (yield self._is_ours(build)):
            attempt = yield self.attempt_of(build["buildrequestid"], build["buildid"])
            yield self._end(build, attempt)

    @defer.inlineCallbacks
    def _next_attempt(self, request: dict[str, Any]) -> Generator[Any, Any, int]:
        builds = yield self.master.data.get(("buildrequests", request["buildrequestid"], "builds"))
        return len(builds) + 1

    @defer.inlineCallbacks
    def _end(self, ended: dict[str, Any], attempt: int) -> Generator[Any, Any, None]:
        """Cancel the run unless it is over: its step may never have begun."""
        run_id = run_id_of(ended["buildrequestid"], attempt)
        path = f"/runs/{run_id}"
        run = yield self._ask("get", path, (200, 404))
        if run and run.get("status") not in (None, *OVER):
            body = {"reason": "Buildbot: the build is over"}
            yield self._ask("post", f"{path}/cancel", (202,), json=body)

    @defer.inlineCallbacks
    def _is_ours(self, thing: dict[str, Any]) -> Generator[Any, Any, bool]:
        builder = yield self.master.data.get(("builders", thing["builderid"]))
        return builder["name"] in self._builders

    @defer.inlineCallbacks
    def _ask(
        self, method: str, path: str, expected: Sequence[int], **options: Any
    ) -> Generator[Any, Any, dict[str, Any] | None]:
        """The gateway's answer; None, and a line in the log, if it is not an `expected` one."""
        send = getattr(self._http, method)
        try:
            response = yield send(f"/api/v1{path}", **{"timeout": REQUEST_TIMEOUT, **options})
            answer = yield response.json()
        except Exception as problem:
            log.error("{method} {path}: {problem!r}", method=method, path=path, problem=problem)
            return None
        if response.code not in expected:
            log.error(
                "{method} {path}: {status} {message}",
                method=method,
                path=path,
                status=response.code,
                message=answer.get("message"),
            )
            return None
        return answer


class CancelableShellCommand(steps.ShellCommand):
    """A shell command that is the run of its build. A build has at most one of these."""

    name = "cancelable"
    # A time limit of Buildbot's ends in SIGTERM, which cancel-exec passes on, and SIGKILL only
    # later: a job whose cancel-exec is killed gets no grace period.
    sigtermTime = 30
    decodeRC: ClassVar = {
        0: SUCCESS,
        CANCELED: CANCELLED,
        NEVER_STARTED: CANCELLED,
        NOT_RUN: EXCEPTION,
    }
    run_id: int | None = None

    @defer.inlineCallbacks
    def run(self) -> Generator[Any, Any, int]:
        request_id = self.build.requests[0].id
        attempt = yield self._service.attempt_of(request_id, self.build.buildid)
        yield self._service.register(request_id, attempt)
        self.run_id = run_id_of(request_id, attempt)
        self.setProperty("run_id", self.run_id, "run-cancel")
        command = self.command
        if isinstance(command, str):
            command = ["/bin/sh", "-c", command]
        launcher = ["cancel-exec", "--run-id", str(self.run_id)]
        self.command = [*launcher, "--canceled-exit-code", str(CANCELED), "--", *command]
        cmd = yield self.makeRemoteShellCommand()
        if self.stopped:
            return CANCELLED
        yield self.runCommand(cmd)
        # The job may exit with one of these codes itself, as xargs and docker do.
        if cmd.rc in (CANCELED, NEVER_STARTED, NOT_RUN):
            status = yield self._service.status(self.run_id)
            if status == "fail":
                return FAILURE
        return cmd.results()

    @defer.inlineCallbacks
    def interrupt(self, reason: str | Failure) -> Generator[Any, Any, None]:
        """Somebody stops the build, or its Buildbot worker is lost: cancel the run.

        If the service does not end it, Buildbot does, with SIGTERM and SIGKILL.
        """
        is_lost = isinstance(reason, Failure) and reason.check(error.ConnectionLost) is not None
        is_over = False
        if self.cmd is not None:
            text = "the Buildbot worker was lost" if is_lost else f"Buildbot: {reason}"
            is_over = yield self._service.cancel(self.run_id, text)
        # A lost worker does not report how the command ended.
        if self.results is None and (is_lost or not is_over):
            yield super().interrupt(reason)

    @property
    def _service(self) -> RunCancel:
        return self.master.service_manager.namedServices[RunCancel.name]
