"""The units, as far as can be told without systemd as the first process."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from yarl import URL

from tests.support.repository.documents import code_block
from tests.support.repository.systemd_units import (
    CONSOLE_UNIT,
    GATEWAY_UNIT,
    WORKER_UNIT,
    as_installed_here,
    service,
)

# These act on the unit's cgroup, and so on the jobs below it.
BINDS_JOBS = (
    *("DevicePolicy", "DeviceAllow", "PrivateDevices", "ProtectClock"),
    *("IPAddressAllow", "IPAddressDeny", "SocketBindAllow", "SocketBindDeny"),
    *("RestrictNetworkInterfaces", "RestrictFileSystems"),
    *("MemoryMax", "MemoryHigh", "CPUQuota", "IOReadBandwidthMax", "IOWriteBandwidthMax"),
)


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "unit", [WORKER_UNIT, GATEWAY_UNIT, CONSOLE_UNIT], ids=lambda unit: unit.stem
)
def test_systemd_understands_all_of_it(unit: Path, tmp_path: Path) -> None:
    verified = _analyze("verify", "--man=no", str(as_installed_here(unit, tmp_path)))

    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_systemd_understands_the_documented_drop_in(tmp_path: Path) -> None:
    drop_in = tmp_path / f"{GATEWAY_UNIT.name}.d" / "password-file.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(code_block("ini password-file"))

    unit = str(as_installed_here(GATEWAY_UNIT, tmp_path))
    verified = _analyze("verify", "--man=no", unit)
    drop_in.write_text(drop_in.read_text().replace("SupplementaryGroups=", "SupplementGroups="))
    mistyped = _analyze("verify", "--man=no", unit)

    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    assert "SupplementGroups" in mistyped.stderr


# In tenths, as --threshold takes it; 100 is no protection at all.
@pytest.mark.parametrize(
    ("unit", "most"),
    [(WORKER_UNIT, 35), (GATEWAY_UNIT, 15), (CONSOLE_UNIT, 15)],
    ids=["worker", "gateway", "console"],
)
def test_it_is_exposed_no_more_than_it_must_be(unit: Path, most: int) -> None:
    told = _analyze("security", "--offline=true", f"--threshold={most}", "--no-pager", str(unit))

    assert told.returncode == 0, told.stdout


def test_runs_outlive_the_worker_and_are_not_bound_by_its_unit() -> None:
    worker = service(WORKER_UNIT)

    assert (worker["Delegate"], worker["KillMode"], worker["OOMPolicy"]) == (
        *("yes", "process", "continue"),
    )
    assert worker["TasksMax"] == "infinity"
    assert worker.keys().isdisjoint(BINDS_JOBS)


def test_credentials_are_in_files_for_root_alone() -> None:
    for unit in (WORKER_UNIT, GATEWAY_UNIT, CONSOLE_UNIT):
        file = service(unit)["EnvironmentFile"]
        assert Path(file).name == f"{unit.stem.removeprefix('cancel-')}.env"
        assert not re.search(r"(DATABASE|AMQP)_URL=", unit.read_text())


def test_passwords_are_in_files_of_their_own() -> None:
    for unit in (WORKER_UNIT, GATEWAY_UNIT, CONSOLE_UNIT):
        name = unit.stem.removeprefix("cancel-")
        set_by = (unit.parent / f"{name}.env").read_text() + unit.read_text()
        file = f"/etc/run-cancel/{name}-password"
        if unit is not WORKER_UNIT:  # it alone is root, and may read the file itself
            assert f"LoadCredential=password:{file}" in set_by
            file = "%d/password"
        for service_name in ("DATABASE", "AMQP"):
            assert f"{service_name}_PASSWORD_FILE={file}" in set_by
            (url,) = re.findall(rf"^{service_name}_URL=(.*)$", set_by, re.MULTILINE)
            assert URL(url).user
            assert URL(url).password is None
