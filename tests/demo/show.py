"""`make demo`: sets the stage, plays the scenes, counts the facts."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from tests.demo import scene_build, scenes
from tests.demo.facts import Facts
from tests.demo.screen import Screen
from tests.demo.stage import Stage
from tests.support.services import Sandbox, provide

Scene = Callable[[Stage, Screen, Facts], Awaitable[None]]

SCENES: tuple[Scene, ...] = (
    scene_build.play,
    scenes.obedient,
    scenes.queued,
    scenes.repeat,
    scenes.direct,
)


def demo(screen: Screen) -> int:
    """The exit code: 0, or 1 if a fact failed. Raises ServicesUnavailable and StageFailed."""
    screen.section("0  Services, gateway and worker")
    began = time.monotonic()
    with provide(screen.note) as services, Sandbox() as sandbox:
        screen.good("PostgreSQL and RabbitMQ", _ms_since(began))
        return asyncio.run(_play_all(Stage(services, sandbox), screen))


async def _play_all(stage: Stage, screen: Screen) -> int:
    facts = Facts(screen)
    began = time.monotonic()
    async with stage.open():
        await _install(stage, screen)
        async with stage.connected():
            await _start(stage, screen)
            for scene in SCENES:
                await _play(scene, stage, screen, facts)
            seconds = time.monotonic() - began
        if facts.failed:
            screen.section("Logs")
            screen.line(stage.programs.log())
    return sum_up(screen, facts, seconds)


async def _play(scene: Scene, stage: Stage, screen: Screen, facts: Facts) -> None:
    """A scene that breaks off is a failed fact; the next ones are played all the same."""
    try:
        await scene(stage, screen, facts)
    except (AssertionError, LookupError, TypeError, ValueError, TimeoutError) as error:
        facts.missed(f"the scene broke off: {type(error).__name__} {error}")


async def _install(stage: Stage, screen: Screen) -> None:
    """What a user does once. Raises StageFailed."""
    programs = stage.programs
    await _step(screen, "cancel-worker migrate", partial(programs.run, "cancel-worker", "migrate"))

    async def create_token() -> None:
        stage.token = await programs.run(
            "cancel-gateway", "tokens", "create", "--subject", "demo", "--expires-in", "15m"
        )

    await _step(screen, "cancel-gateway tokens create --subject demo", create_token)


async def _start(stage: Stage, screen: Screen) -> None:
    await asyncio.gather(
        _step(screen, "cancel-gateway serve --port 0", stage.serve_gateway),
        _step(screen, "cancel-worker serve", stage.serve_worker),
    )


async def _step(screen: Screen, command: str, step: Callable[[], Awaitable[object]]) -> None:
    screen.command(command)
    began = time.monotonic()
    await step()
    screen.good(f"{command.split(' --')[0]}: done", _ms_since(began))


def sum_up(screen: Screen, facts: Facts, seconds: float) -> int:
    screen.console.print()
    if facts.failed:
        screen.bad(f"{facts.failed} of {facts.checked} facts failed")
        return 1
    screen.good(f"all {facts.checked} facts hold; {seconds:.1f} s, services not counted")
    return 0


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
