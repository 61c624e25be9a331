"""A RabbitMQ node of our own: random ports and password, 127.0.0.1 only, nothing shared."""

import secrets
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tools.services.amqp_probe import server_version
from tools.services.erlang import printed, printing
from tools.services.model import ServerFailed, ServicesUnavailable
from tools.services.native.binaries import RabbitPrograms, find_rabbit
from tools.services.native.place import Place
from tools.services.native.rabbit_state import START_HANGS, STATE, StartHangs
from tools.services.native.server_log import ServerLog
from tools.services.port_mapper import PortMapper
from tools.services.sandbox import Sandbox, clean_environment

USER = "run_cancel"
# A node alone has its own epmd, so the same name never meets itself.
NODE_NAME = "run_cancel@localhost"
START_SECONDS = 90.0
STOP_SECONDS = 60.0
CTL_SECONDS = 60.0
POLL_SECONDS = 0.05
# The script's default, never to spin, doubles the time to boot on a virtual machine.
ERLANG_FLAGS = "+sbwt very_short +sbwtdcpu very_short +sbwtdio very_short"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the nodes of one cluster share."""

    password: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    cookie: str = field(default_factory=lambda: secrets.token_hex(20))


class PrivateRabbit:
    """A broker that a test may stop, kill and start again; data, port and password stay."""

    def __init__(
        self,
        sandbox: Sandbox,
        programs: RabbitPrograms | None = None,
        *,
        name: str = NODE_NAME,
        place: Place | None = None,
        port_mapper: PortMapper | None = None,
        secrets: Secrets | None = None,
        configuration: str = "",
        plugins: Sequence[str] = (),
    ) -> None:
        """Prepare a node in ``sandbox``; ``configuration`` is added to its own.

        Raises ServicesUnavailable if none is installed.
        """
        self._programs = programs or installed_rabbit()
        self._sandbox = sandbox
        self._secrets = secrets or Secrets()
        self._configuration = configuration
        self._plugins = plugins
        self._place = place or Place()
        self._home = sandbox.path / f"rabbitmq-{name}"
        self.log = ServerLog(self._home / "server.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._port_mapper = port_mapper or PortMapper(
            sandbox, self._programs.epmd, place=self._place
        )
        self._distribution_port = sandbox.reserve_port()
        self._version = "unknown"
        self.name = name
        self.port = sandbox.reserve_port()

    @property
    def url(self) -> str:
        """The URL of the default virtual host, with user and password."""
        return f"amqp://{USER}:{self._secrets.password}@{self._place.address}:{self.port}/"

    @property
    def is_running(self) -> bool:
        """Whether its process is there, ready or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def version(self) -> str:
        """The version, such as 3.10.8, as the broker tells it; known once it is ready."""
        return self._version

    def start(self) -> None:
        """Start the broker and return once it accepts connections.

        Raises ServerFailed, with the last lines of its log, if that fails or takes over 90 s.
        """
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start the broker without waiting for it; the first time, write its configuration."""
        if not self._home.exists():
            self._write_configuration()
        self._port_mapper.start()
        self.log.forget()
        self._process = self._sandbox.spawn(
            self._place.command(str(self._programs.server)),
            log=self.log.path,
            env=self._environment(),
        )

    def wait_ready(self, within: float = START_SECONDS) -> None:
        """Wait for the broker that launch() started, or that paused.

        Raises ServerFailed, of which StartHangs is one.
        """
        process = self._running()
        deadline = time.monotonic() + within
        while (version := server_version(self._place.address, self.port)) is None or (
            not self._is_up()
        ):
            if process.poll() is not None:
                raise self._failure(f"ended with code {process.returncode}")
            if self.log.says(START_HANGS):
                raise StartHangs(f"private RabbitMQ {self.name}: {START_HANGS} another node")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready after {within:.0f} s")
            time.sleep(POLL_SECONDS)
        self.log.forget()
        self._version = version

    def _is_up(self) -> bool:
        """It listens a moment before that, and rabbitmqctl refuses to work meanwhile."""
        with suppress(ServerFailed):
            return self.ask("atom_to_list(rabbit:is_running())") == "true"
        return False

    def stop(self) -> None:
        """Stop the broker in order, as a restart by an operator would. Raises ServerFailed."""
        process = self._running()
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise self._failure(f"did not stop within {STOP_SECONDS:.0f} s") from None

    def kill(self) -> None:
        """Kill the broker with SIGKILL, as a crash would."""
        process = self._running()
        process.kill()
        process.wait()

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl` on this node and return what it printed. Raises ServerFailed."""
        return self.run("rabbitmqctl", *arguments)

    def run(self, tool: str, *arguments: str) -> str:
        """Run one of RabbitMQ's tools on this node, as `ctl` does."""
        # Beside the server script: on PATH, Debian has a wrapper that switches the user.
        done = self._done(str(self._programs.server.with_name(tool)), *arguments)
        if done.returncode != 0:
            raise ServerFailed(f"{tool} {arguments[0]} failed:\n{done.stdout}")
        return done.stdout

    def ask(self, text: str) -> str:
        """The value of an Erlang expression that is a text. Raises ServerFailed.

        Works as soon as the process is there, and costs 0.1 s where `rabbitmqctl` takes 1.5 s.
        """
        erl_call = self._programs.epmd.with_name("erl_call")
        if not erl_call.exists():
            return printed(self.ctl("eval", printing(text)))
        node = f"{self._place.address}:{self._distribution_port}"
        options = ("-address", node, "-r", "-fetch_stdout", "-no_result_term", "-e")
        return printed(self._done(str(erl_call), *options, typed=printing(text)).stdout)

    def _done(self, *command: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        self._running()
        try:
            return subprocess.run(
                self._place.command(*command),
                env=self._environment(),
                input=typed,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=CTL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"{command[0]} took over {CTL_SECONDS:.0f} s") from None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerFailed("RabbitMQ has not been started")
        return self._process

    def _write_configuration(self) -> None:
        self._home.mkdir(mode=0o700)
        cookie = self._home / ".erlang.cookie"
        cookie.touch(mode=0o600)
        cookie.write_text(self._secrets.cookie)
        cookie.chmod(0o400)
        (self._home / "enabled_plugins").write_text(f"[{','.join(self._plugins)}].\n")
        (self._home / "rabbitmq.conf").write_text(
            f"listeners.tcp.private = {self._place.address}:{self.port}\n"
            f"default_user = {USER}\n"
            f"default_pass = {self._secrets.password}\n"
            f"{self._configuration}"
        )

    def _environment(self) -> dict[str, str]:
        """Name every file, directory and port that the broker would else look for elsewhere."""
        home = self._home
        return clean_environment(
            HOME=str(home),
            ERL_EPMD_PORT=str(self._port_mapper.port),
            ERL_EPMD_ADDRESS=self._place.address,
            ERL_CRASH_DUMP_BYTES="0",
            ERL_AFLAGS="-start_epmd false",  # no helper may start one that stays behind
            RABBITMQ_NODENAME=self.name,
            RABBITMQ_DIST_PORT=str(self._distribution_port),
            RABBITMQ_CONF_ENV_FILE=str(home / "rabbitmq-env.conf"),  # there is none
            RABBITMQ_CONFIG_FILE=str(home / "rabbitmq.conf"),
            RABBITMQ_ADVANCED_CONFIG_FILE=str(home / "advanced.config"),  # there is none
            RABBITMQ_ENABLED_PLUGINS_FILE=str(home / "enabled_plugins"),
            RABBITMQ_MNESIA_BASE=str(home / "data"),
            RABBITMQ_LOG_BASE=str(home / "log"),
            RABBITMQ_LOGS="-",
            RABBITMQ_PID_FILE=str(home / "pid"),
            RABBITMQ_GENERATED_CONFIG_DIR=str(home / "config"),
            RABBITMQ_PLUGINS_EXPAND_DIR=str(home / "plugins"),
            RABBITMQ_FEATURE_FLAGS_FILE=str(home / "feature_flags"),
            RABBITMQ_USE_LONGNAME=str("." in self.name).lower(),  # an address is a long name
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=f"{self._only_here()} {ERLANG_FLAGS}",
            # Makes the script exec the node instead of staying above it as a shell.
            RUNNING_UNDER_SYSTEMD="true",
        )

    def _only_here(self) -> str:
        numbers = self._place.address.replace(".", ",")
        return f"-kernel inet_dist_use_interface {{{numbers}}}"

    def _failure(self, what: str) -> ServerFailed:
        return ServerFailed(
            f"private RabbitMQ {self.name}: {what}; {self._state()}\n{self.log.tail()}"
        )

    def _state(self) -> str:
        """For a failure: a process that is there may do nothing."""
        if not self.is_running:
            return "its process is gone"
        try:
            return self.ask(STATE)
        except (ServerFailed, subprocess.TimeoutExpired) as error:
            return f"its process is there, and says nothing: {error}"


def installed_rabbit() -> RabbitPrograms:
    """Raises ServicesUnavailable if there is none."""
    found = find_rabbit()
    if found is None:
        raise ServicesUnavailable("RabbitMQ (with Erlang's epmd) is not installed")
    return found
