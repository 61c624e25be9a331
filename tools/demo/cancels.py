"""What became of each cancel, told as the worker logs it."""

from shared.states import Outcome
from tools.demo.screen import Screen
from tools.support.program import Event


def tell_of(event: Event, screen: Screen) -> None:
    """One line if a cancel has ended: as an outcome or as a dead letter."""
    about = f"cancel of run {event['run_id']}" if "run_id" in event else "cancel of an unnamed run"
    match event.get("event"):
        case "command_settled":
            is_bad = event["result"] == Outcome.STOP_FAILED
            (screen.bad if is_bad else screen.good)(f"{about}: {event['result']}")
        case "command_dead_lettered":
            why = f" ({event['error']})" if event.get("error") else ""
            screen.bad(f"{about}: dead letter, {event['reason']}{why}")
