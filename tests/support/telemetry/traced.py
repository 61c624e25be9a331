"""Programs and commands within a trace."""

import json
from typing import Any
from uuid import uuid4

from shared.commands import CANCEL_TYPE
from tests.support.http.api import Api
from tools.support.program import Event, Program
from tools.support.system import System

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{CALLER}-01"
# Of these each line must say which command it is about.
ABOUT_COMMANDS = ("command_", "run_canceled", "leftovers_stopped")


async def gateway_of(system: System, **env: str) -> tuple[Program, Api]:
    gateway = await system.program("gateway", "serve", "--port", "0", **env)
    url = str((await gateway.event("gateway_ready"))["url"])
    return gateway, Api(url, system.http, await system.token())


async def publish_traced(system: System, run_id: int, **headers: Any) -> str:
    command_id = str(uuid4())
    await system.publish_raw(
        json.dumps({"command_id": command_id, "run_id": run_id}).encode(),
        message_id=command_id,
        type=CANCEL_TYPE,
        headers={"traceparent": TRACEPARENT, **headers},
    )
    return command_id


def about_commands(*programs: Program) -> list[Event]:
    lines = [event for program in programs for event in program.events]
    found = [line for line in lines if line["event"].startswith(ABOUT_COMMANDS)]
    return found + [line for line in lines if line["event"] == "request" and "run_id" in line]
