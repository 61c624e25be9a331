"""The systemd units that are handed out."""

import sys
from configparser import RawConfigParser
from pathlib import Path
from typing import Final

UNITS: Final = Path(__file__).parents[3] / "deploy" / "systemd"
WORKER_UNIT: Final = UNITS / "cancel-worker.service"
GATEWAY_UNIT: Final = UNITS / "cancel-gateway.service"
CONSOLE_UNIT: Final = UNITS / "cancel-console.service"
INSTALLED_IN: Final = "/opt/run-cancel/bin/"


def service(unit: Path) -> dict[str, str]:
    """The settings in [Service]; of those that are there twice, the last one."""
    parser = RawConfigParser(strict=False, delimiters="=", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as the library's manual says
    parser.read(unit)
    return dict(parser["Service"])


def capabilities(unit: Path) -> list[str]:
    """The bounding set, as setpriv(1) names capabilities."""
    words = service(unit)["CapabilityBoundingSet"].split()
    return [word.removeprefix("CAP_").lower() for word in words]


def as_installed_here(unit: Path, directory: Path) -> Path:
    """A copy whose program is there: verify looks for it."""
    text = unit.read_text()
    assert text.count(f"ExecStart={INSTALLED_IN}") == 1
    copy = directory / unit.name
    copy.write_text(text.replace(INSTALLED_IN, f"{Path(sys.executable).parent}/"))
    return copy
