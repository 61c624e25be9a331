"""DATABASE_URL as libpq takes it: one host or several, and nothing of it in a message."""

import pytest

from shared.configuration.postgres_url import parse
from shared.services.urls import without_password

SECRET = "open-sesame"
U = f"postgresql://ci:{SECRET}@"

HOSTS = {
    f"{U}db/ci": "db",
    f"{U}db:5433/ci": "db:5433",
    f"{U}a,b/ci": "a b",
    f"{U}a:1,b:2/ci?target_session_attrs=read-write": "a:1 b:2",
    f"{U}a:1,b/ci": "a:1 b",
    f"{U}[::1]:5433/ci": "[::1]:5433",
    f"{U}a:1,[fd00::2]:2,[::3]/ci": "a:1 [fd00::2]:2 [::3]",
    f"{U}/ci?host=a,b&port=1,2": "a:1 b:2",
    f"{U}/ci?host=a,b&port=1": "a:1 b:1",
    f"{U}/ci?host=a,b": "a b",
    f"{U}/ci?host=::1,[::2]&port=1,2": "[::1]:1 [::2]:2",
    # As psql: a parameter goes before what is in front of the path.
    f"{U}localhost/ci?host=/cloudsql/x": "/cloudsql/x",
    f"{U}a:1/ci?host=b": "b:1",
    f"{U}a:1,b:2/ci?port=3": "a:3 b:3",
    f"{U}%2Frun%2Fpostgresql,b/ci": "/run/postgresql b",
    f"{U}/ci?host=%2Frun%2Fpostgresql": "/run/postgresql",
    f"{U}/ci": "",
    f"{U}/ci?port=5433": "",
    "postgres://": "",
}


@pytest.mark.parametrize(("url", "hosts"), HOSTS.items())
def test_its_hosts_are_those_that_libpq_finds(url: str, hosts: str) -> None:
    assert " ".join(map(str, parse(url).hosts)) == hosts


def test_the_rest_is_left_to_the_driver() -> None:
    found = parse(f"{U}a:1,b:2/ci?host=c&port=3&sslmode=require&target_session_attrs=any&x=%2F")

    assert found.dsn == f"{U}/ci?sslmode=require&x=%2F"
    assert (found.user, found.has_password, found.session) == ("ci", True, "any")
    # Without hosts the driver knows where to look, and may need the port.
    assert parse("postgresql:///ci?port=5433").dsn == "postgresql:///ci?port=5433"


def test_only_a_server_that_takes_writes_will_do_unless_it_says_otherwise() -> None:
    assert parse(f"{U}a,b/ci").session == "read-write"
    assert parse(f"{U}a,b/ci?target_session_attrs=primary").session == "primary"


ENCODE = "must be percent-encoded"
WRONG = {
    "": "must start with postgresql://",
    f"mysql://ci:{SECRET}@db/ci": "must start with postgresql://",
    # A bare / # ? @ or [ in a password.
    f"postgresql://ci:1/{SECRET}@db/ci": ENCODE,
    f"postgresql://ci:1#{SECRET}@db/ci": ENCODE,
    f"postgresql://ci:1?{SECRET}@db/ci": ENCODE,
    f"postgresql://ci:1?a={SECRET}@db/ci": ENCODE,
    f"postgresql://ci:1@{SECRET}@db/ci": ENCODE,
    f"postgresql://ci:1[{SECRET}@db/ci": ENCODE,
    f"postgresql://db/ci#{SECRET}": ENCODE,
    f"postgresql://ci@db/ci?password={SECRET}": "before the host",
    f"{U}db:port/ci": "port that is not a number from 1 to 65535",
    f"{U}db:99999/ci": "port that is not a number from 1 to 65535",
    f"{U}db:0/ci": "port that is not a number from 1 to 65535",
    f"{U}a:1,b:x/ci": "port that is not a number from 1 to 65535",
    f"{U}/ci?host=a,b,c&port=1,2": "2 ports for 3 hosts",
    f"{U}a,,b/ci": "host without a name",
    f"{U}a,/ci": "host without a name",
    f"{U}:5432/ci": "host without a name",
    f"{U}::1/ci": "IPv6 address in brackets",
    f"{U}[::1/ci": "IPv6 address that is not of the form",
    f"{U}[::1]5432/ci": "IPv6 address that is not of the form",
    f"{U}[x:y]/ci": "neither a name nor an address",
    f"{U}/ci?host=db:5432": "neither a name nor an address",
    f"{U}db/ci?{SECRET}": "not of the form name=value",
    f"{U}db/ci?a=1&": "not of the form name=value",
    f"{U}db/ci?target_session_attrs={SECRET}": "must be one of read-write, primary, any",
    f"{U}db/ci?target_session_attrs=standby": "must be one of read-write, primary, any",
}


@pytest.mark.parametrize(("url", "complaint"), WRONG.items())
def test_what_is_wrong_is_said_and_nothing_quoted(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        parse(url)

    assert complaint in str(refused.value)
    assert SECRET not in str(refused.value)
    # Only where a character may have to be encoded is that the advice.
    assert (ENCODE in str(refused.value)) == (complaint == ENCODE)


SHOWN = {
    f"{U}a:1,b:2/ci?host=c": "postgresql://ci:***@a:1,b:2/ci?host=c",
    f"{U}[::1]:1,[::2]:2/ci": "postgresql://ci:***@[::1]:1,[::2]:2/ci",
    f"{U}%2Frun/ci": "postgresql://ci:***@%2Frun/ci",
    f"{U}/ci?host=a,b&sslpassword={SECRET}&x=y": "postgresql://ci:***@/ci?host=a,b&sslpassword=***&x=y",
    f"postgresql:///ci?sslmode=require&password={SECRET}": (
        "postgresql:///ci?sslmode=require&password=***"
    ),
    f"postgresql://ci:a:{SECRET}@db/ci": "postgresql://ci:***@db/ci",
    f"postgresql://ci:a@{SECRET}@db/ci": "postgresql://ci:***@db/ci",
    f"amqp://ci:{SECRET}@mq/vhost": "amqp://ci:***@mq/vhost",
    f"https://ci:{SECRET}@otel/v1": "https://ci:***@otel/v1",
    "postgresql://ci@a:1,b:2/ci": "postgresql://ci@a:1,b:2/ci",
    "postgresql://a:1,b:2/ci": "postgresql://a:1,b:2/ci",
}


@pytest.mark.parametrize(("url", "shown"), SHOWN.items())
def test_it_is_shown_without_its_passwords(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_its_repr_hides_the_passwords() -> None:
    url = f"postgresql://ci:{SECRET}@db/ci?sslpassword={SECRET}&sslmode=require"
    assert SECRET not in repr(parse(url))
