"""What a connection needs from this machine is looked at first, and named when it will not do."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.configuration.postgres_url import parse
from shared.services import local_files
from tests.support.network.certificates import Authority

NOBODY = 65534
_PR_SET_DUMPABLE = 4
URL = "postgresql://ci:x@db/ci"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in list(os.environ):
        if name.startswith("PG"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def junk(tmp_path: Path) -> Path:
    file = tmp_path / "junk"
    file.write_text("junk\n")
    return file


def _problem(url: str) -> str:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        local_files.check_for_postgres(parse(url))
    return str(refused.value)


@contextmanager
def _as_somebody_else() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        # The kernel made us undumpable with that, and then root without CAP_SYS_PTRACE may not read
        # of us what a worker has to: later tests' launches would be refused.
        assert ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0) == 0


@pytest.mark.parametrize(
    "url", [URL, f"{URL}?sslmode=disable", f"{URL}?sslmode=require", "postgresql://ci@%2Frun/ci"]
)
def test_where_nothing_is_named_nothing_is_needed(url: str) -> None:
    local_files.check_for_postgres(parse(url))


@pytest.mark.parametrize("name", ["sslcert", "sslrootcert", "sslcrl"])
def test_a_file_that_is_missing_or_no_certificate_is_named(
    monkeypatch: pytest.MonkeyPatch, junk: Path, name: str
) -> None:
    url = f"{URL}?sslmode=require&{name}="

    missing = "No such file or directory"
    assert _problem(f"{url}/nowhere/f") == f"cannot read {name}=/nowhere/f: {missing}"
    what = "revocation list" if name == "sslcrl" else "certificate"
    assert _problem(f"{url}{junk}") == f"{name}={junk}: no PEM {what}, or an incomplete one"
    monkeypatch.setenv(f"PG{name.upper()}", "/nowhere/g")
    assert _problem(f"{URL}?sslmode=require") == f"cannot read {name}=/nowhere/g: {missing}"
    # Nobody would read it.
    local_files.check_for_postgres(parse(f"{URL}?sslmode=disable"))
    local_files.check_for_postgres(parse("postgresql://ci@%2Frun/ci"))


def test_a_check_of_the_server_needs_a_certificate(home: Path) -> None:
    needed = "sslmode=verify-full needs a CA certificate: set sslrootcert, or copy it to "

    assert _problem(f"{URL}?sslmode=verify-full") == f"{needed}{home}/.postgresql/root.crt"


def test_the_home_of_another_user_is_named(home: Path) -> None:
    own = home / ".postgresql"
    own.mkdir(mode=0o700)

    with _as_somebody_else():
        said = _problem(URL)

    assert said.startswith(f"cannot read the directory {own}: Permission denied; set HOME to ")


def test_a_service_must_be_in_its_file(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    # asyncpg would go to whatever listens on the default port of this machine.
    url, file = "postgresql:///?service=ci", home / "services"

    missing = f"service ci: cannot read {home}/.pg_service.conf: No such file or directory"
    assert _problem(url) == missing
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    file.write_text("host=db\n")
    assert _problem(url) == f"service ci: {file} is not a service file"
    file.write_text("[other]\nhost=db\n")
    assert _problem(url) == f"service ci is not in {file}"
    file.write_text("[ci]\nhost=db\npassword=50%off\n")
    assert _problem(url) == f"service ci: {file} is not a service file"
    file.write_text("[ci]\nhost=db\n")
    local_files.check_for_postgres(parse(url))


def test_a_user_without_a_name_must_be_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)

    assert _problem("postgresql://db/ci").startswith("must name a user: uid ")
    for url in (URL, "postgresql://db/ci?user=ci"):
        local_files.check_for_postgres(parse(url))
    monkeypatch.setenv("PGUSER", "ci")
    local_files.check_for_postgres(parse("postgresql://db/ci"))


def test_why_there_was_no_password_is_added(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without = parse("postgresql://ci@db/ci")
    file = tmp_path / "pgpass"

    assert local_files.why_no_login(parse(URL), from_file=False) == ""
    assert local_files.why_no_login(without, from_file=False) == "; DATABASE_URL has no password"
    assert local_files.why_no_login(without, from_file=True) == ""
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert "cannot read" in local_files.why_no_login(without, from_file=False)
    file.touch(mode=0o644)
    file.chmod(0o644)
    assert "readable by its owner alone" in local_files.why_no_login(without, from_file=False)
    file.chmod(0o600)
    assert f"{file} has no entry for it" in local_files.why_no_login(without, from_file=False)
    monkeypatch.setenv("PGPASSWORD", "x")
    assert local_files.why_no_login(without, from_file=False) == ""


def test_a_key_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    files = Authority().issue("ci").write(tmp_path, "client")
    for directory in (tmp_path, *tmp_path.parents):
        if not directory.stat().st_mode & 0o001:
            directory.chmod(0o711)
    files.certificate.chmod(0o644)
    url = f"{URL}?sslmode=require&sslcert={files.certificate}&sslkey={files.key}"
    local_files.check_for_postgres(parse(url))

    with _as_somebody_else():
        said = _problem(url)

    assert said == f"cannot read sslkey={files.key}: Permission denied"


def test_a_certificate_at_its_default_path_needs_its_key_there(home: Path, junk: Path) -> None:
    files = Authority().issue("ci").write(home, "client")
    own = home / ".postgresql"
    own.mkdir()
    certificate, key = own / "postgresql.crt", own / "postgresql.key"
    files.certificate.rename(certificate)

    no_key = "no PEM key, an incomplete one, or one that needs a passphrase"
    assert _problem(URL) == f"{certificate}: {no_key}"
    files.key.rename(key)
    local_files.check_for_postgres(parse(URL))
    junk.rename(key)
    assert _problem(URL) == f"{key}: {no_key}"


@pytest.mark.parametrize("mode", ["prefer", "allow", None])
@pytest.mark.parametrize("name", ["sslrootcert", "sslcrl"])
def test_a_ca_that_would_not_be_used_is_refused(junk: Path, name: str, mode: str | None) -> None:
    url = f"{URL}?{name}={junk}" + (f"&sslmode={mode}" if mode else "")

    said = f"{name} has no effect with sslmode={mode or 'prefer'}: set sslmode=verify-full"
    assert _problem(url) == said
