"""`make demo`: starts the system, plays the scenes, counts the facts."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial

from shared.aio.tasks import end
from tools.demo.deployment import deployed
from tools.demo.evidence.facts import Facts
from tools.demo.scenes import build, container, short
from tools.demo.screen import Screen
from tools.demo.system import DemoSystem
from tools.services import Sandbox
from tools.services.signals import terminated_as_exit

Scene = Callable[[DemoSystem, Screen, Facts], Coroutine[None, None, None]]

SCENES: tuple[Scene, ...] = (
    build.play,
    short.obedient,
    short.queued,
    short.repeat,
    short.direct,
    container.play,
)


def demo(screen: Screen) -> int:
    """The exit code: 0, or 1 if a fact failed. Raises ToolError."""
    screen.section("0  Services, gateway and worker")
    began = time.monotonic()
    with terminated_as_exit(), deployed(screen) as deployment, Sandbox() as sandbox:
        screen.good(deployment.what, _ms_since(began))
        return asyncio.run(_play_all(DemoSystem(deployment, sandbox), screen))


async def _play_all(system: DemoSystem, screen: Screen) -> int:
    facts = Facts(screen)
    began = time.monotonic()
    async with system.open():
        if system.account.why_own is not None:
            screen.note(system.account.why_own)
        await _install(system, screen)
        async with system.connected():
            await _start(system, screen)
            for scene in SCENES:
                if not await _play(scene, system, screen, facts):
                    break
            seconds = time.monotonic() - began
        if facts.failed:
            screen.section("Logs")
            screen.line(system.programs.log())
    return sum_up(screen, facts, seconds)


async def _play(scene: Scene, system: DemoSystem, screen: Screen, facts: Facts) -> bool:
    """A scene that breaks off is a failed fact; the next ones are played all the same.

    Not so once a server is gone: then each of them would only wait for it.
    """
    try:
        playing = asyncio.create_task(scene(system, screen, facts))
        if ended := await _server_ended_before(playing, system):
            facts.missed(f"{ended} ended unexpectedly, after {facts.last!r}")
            return False
        await playing
    except Exception as error:  # whatever it is, it must not keep us from clearing up
        facts.missed(f"the scene failed after {facts.last!r}: {type(error).__name__}: {error}")
    return True


async def _server_ended_before(playing: "asyncio.Task[None]", system: DemoSystem) -> str | None:
    """The server that ended while the scene was played, which is over then."""
    ended = asyncio.create_task(system.programs.any_ended())
    try:
        await asyncio.wait((playing, ended), return_when=asyncio.FIRST_COMPLETED)
        return ended.result() if ended.done() else None
    finally:
        await end(ended)
        # Its own error, if it has one: mostly that it could not reach the server that ended.
        await end(playing)


async def _install(system: DemoSystem, screen: Screen) -> None:
    """What a user does once. Raises ToolError."""
    programs = system.programs
    if system.stack is None:  # else the service `migrate` has done it
        migrate = partial(programs.run, "cancel-worker", "migrate")
        await _step(screen, "cancel-worker migrate", migrate)

    async def create_token() -> None:
        system.token = await programs.run(
            "cancel-gateway", "tokens", "create", "--subject", "demo", "--expires-in", "15m"
        )

    await _step(screen, "cancel-gateway tokens create --subject demo", create_token)


async def _start(system: DemoSystem, screen: Screen) -> None:
    # The worker declares what the gateway publishes to.
    await _step(screen, "cancel-worker serve", system.serve_worker)
    if system.stack is None:
        await _step(screen, "cancel-gateway serve --port 0", system.serve_gateway)


async def _step(screen: Screen, command: str, step: Callable[[], Awaitable[object]]) -> None:
    screen.command(command)
    began = time.monotonic()
    await step()
    screen.good(f"{command.split(' --')[0]}: done", _ms_since(began))


def sum_up(screen: Screen, facts: Facts, seconds: float) -> int:
    screen.console.print()
    if facts.failed:
        screen.bad(f"{facts.failed} of {facts.checked} checks failed")
        return 1
    screen.good(
        f"all {facts.checked} checks passed in {seconds:.1f} s, without the start of the services"
    )
    return 0


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
