"""The alerts and the dashboard as they are deployed, and what their expressions ask for."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[3]
ALERTS: Final = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD: Final = ROOT / "deploy/grafana/dashboard.json"

_SELECTOR: Final = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(?P<matchers>[^}]*)\}|(?![a-zA-Z0-9_:]|\s*\())"
)
_MATCHER: Final = re.compile(r'(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"')
# What is no selector: durations and groupings, and then the words of the language.
_RANGES: Final = re.compile(r"\[[^\]]*\]")
_GROUPINGS: Final = re.compile(r"\b(by|without|on|ignoring)\s*\([^)]*\)")
_WORDS: Final = {"or", "and", "unless", "bool", "offset"}


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric that an expression names, with the label values that it asks for."""

    name: str
    equal: tuple[tuple[str, str], ...]


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alert_expressions() -> list[str]:
    return [alert["expr"] for alert in alerts()]


def dashboard_expressions() -> list[str]:
    """With a range in the place of Grafana's variable."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [
        target["expr"].replace("$__rate_interval", "5m")
        for panel in panels
        for target in panel.get("targets", [])
    ]


def selectors(expression: str) -> Iterator[Selector]:
    text = _GROUPINGS.sub("", _RANGES.sub("", expression))
    for found in _SELECTOR.finditer(text):
        if found["name"] not in _WORDS:
            matchers = _MATCHER.findall(found["matchers"] or "")
            equal = tuple((label, value) for label, how, value in matchers if how == "=")
            yield Selector(found["name"], equal)
