"""Faults that chaos must find: each puts one into the product, and names the promise it breaks."""

from pathlib import Path
from typing import Final

from tools.chaos.mutations.mutation import Mutation
from tools.chaos.mutations.of_commands import OF_COMMANDS
from tools.chaos.mutations.of_events import OF_EVENTS
from tools.chaos.mutations.of_registering import OF_REGISTERING

ROOT: Final = Path(__file__).parents[3]
MUTATIONS: Final = (*OF_COMMANDS, *OF_EVENTS, *OF_REGISTERING)

__all__ = ["MUTATIONS", "ROOT", "Mutation"]
