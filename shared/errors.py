"""The errors that cross package boundaries, with those that single packages define.

RunCancelError
├── ServiceUnavailable            no answer from Postgres or RabbitMQ, or no resources; try again
│   ├── PublishUnknown            no publisher confirm in time: queued, or not
│   └── EngineUnavailable         no answer from the Docker engine (worker.docker.engine.client)
├── PublishRefused                RabbitMQ declined the message: it is in no queue
│   └── Unroutable                no queue is bound for it
├── NotDeclared                   an exchange or queue that workers declare is missing
├── UserError                     a command line or a setting asks for something impossible
│   ├── InvalidSettings           a setting is missing or wrong
│   └── SchemaError               the database schema is of another version
├── PoolerRefuses                 a pooler refuses what programs need (shared.postgres.errors)
├── ApiError                      a request is answered with an error (gateway.http.errors)
├── Undeliverable                 a message cannot be carried out (worker.messages.conversion)
├── UnknownRun                    no such run yet (worker.decisions.verdict)
├── CommandReused                 one command id for two runs (worker.decisions.verdict)
├── HostAbandoned                 the run's host is abandoned (worker.decisions.verdict)
├── StopFailed                    a process outlived SIGKILL, or may have (worker.evidence)
├── Undone                        a failover undid the record of a stop (worker.stop.stops)
├── SomeNotHealed                 undone records that cannot be made again (worker.healing.each)
├── OutOfSight                    the run is in another pid namespace (worker.stop.run_tree)
├── CgroupUnavailable             no cgroup v2 for the runs (worker.processes.cgroup)
├── ForeignProc                   /proc is of another pid namespace (worker.processes.identity)
├── CannotProve                   a run whose end could never be proved (worker.launches.claims)
├── ContainmentFailed             a child could not enter its cgroup (worker.launches.run_cgroups)
├── InsideRun                     a launcher inside another run (worker.launches.run_cgroups)
├── GateClosed                    the run may start no more containers (worker.docker.gates)
├── Gone                          a connection has ended in a message (worker.docker.proxy.wire)
├── Refused                       a job's Docker request is refused (worker.docker.rules.refused)
├── NotAllowed                    a launcher asks for what its user may not (worker.processes.peer)
├── OtherMachine                  the host name is of another machine (worker.hosts.host_worker)
├── RunsOutsideContainer          the host has runs outside the container (worker.hosts.host_worker)
├── HostIsUp                      a live host cannot be abandoned (worker.hosts.store)
└── LauncherFailed                cannot start the command (worker.launcher.cancel_exec)
    └── ChildKilled               the waiting child was killed, for an unknown reason
"""


class RunCancelError(Exception):
    """The base of all errors of this project."""


class ServiceUnavailable(RunCancelError):
    """Postgres or RabbitMQ does not answer, or this host lacks resources; trying again is safe."""


class PublishUnknown(ServiceUnavailable):
    """The confirm did not come in time: the message may or may not have been queued."""


class PublishRefused(RunCancelError):
    """The broker said no: nothing was queued (negative confirm, or no queue for the message)."""


class Unroutable(PublishRefused):
    """No queue is bound for the message."""


class NotDeclared(RunCancelError):
    """An exchange or a queue that workers declare is not there."""


class UserError(RunCancelError):
    """The command cannot be done as asked; the message says why in the user's terms."""


class InvalidSettings(UserError):
    """A setting is missing or wrong. The message names it, and never its value."""


class SchemaError(UserError):
    """The database has the schema of another version."""
