"""What we use of libraries that they do not promise to keep: each name, where and why.

A name that is gone, or a use that is not listed, is told here in a sentence, and not by a program
that fails at night after an upgrade.
"""

import ast
import inspect
import pkgutil
import re
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.repository.private_uses import attributes, is_private, private_uses

ROOT: Final = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Relied:
    """`file` uses `name` of `owner`, which `library` does not document, `to` some end."""

    library: str
    owner: str
    name: str
    file: str
    to: str


def _all(library: str, owner: str, file: str, **names: str) -> list[Relied]:
    return [Relied(library, owner, name, file, to) for name, to in names.items()]


_SENT = "to tell a return or confirm which publish it is for"
_ENCODE = "to encode properties as pamqp does, in half the time"
_DECODE = "to read properties on which pamqp raises"
RELIED_ON: Final = [
    *_all(
        "aiohttp",
        "aiohttp.web.RequestHandler",
        "shared/http/connection.py",
        _waiter="to tell a connection that waits for a head from one with a request in hand, as "
        "aiohttp alone knows when what has arrived is a whole head",
        _messages="to tell who asks for nothing from whose request is not taken up yet",
        transport="to limit the size of a head, and to cut off who is too slow",
        data_received="to limit the size of a head, and the time it takes",
        finish_response="to tell when a response begins and ends",
        handle_error="to answer what is no HTTP in our envelope",
        log_exception="to keep a client's broken body out of the errors",
        force_close="to cut off who is too slow",
        close="to let a request in flight end when the gateway stops",
        shutdown="to let a request in flight end when the gateway stops",
    ),
    *_all(
        "aiohttp",
        "aiohttp.web.RequestHandler",
        "gateway/http/connection.py",
        finish_response="to complete, time and log each response",
    ),
    *_all(
        "aiohttp",
        "aiohttp.web.BaseRequest",
        "shared/http/server.py",
        protocol="to refuse a request on behalf of its connection",
    ),
    *_all(
        "aiohttp",
        "aiohttp.web.Server",
        "shared/http/faults.py",
        request_factory="to refuse HTTP/0.9 and the like, and bodies framed in two ways",
    ),
    *_all(
        "aiohttp",
        "aiohttp.web.Server",
        "shared/http/server.py",
        request_factory="to tell a connection that a request is taken up, at that very moment",
        request_handler="to refuse requests before any middleware",
    ),
    *_all(
        "aiohttp",
        "aiohttp.http.RawRequestMessage",
        "shared/http/faults.py",
        _replace="to refuse HTTP/0.9 and the like (no named tuple where aiohttp is compiled)",
    ),
    *_all(
        "aiohttp",
        "aiohttp.StreamReader",
        "gateway/http/body.py",
        total_bytes="to limit a body that came with its head",
        read_nowait="to take a body that came with its head",
    ),
    *_all(
        "aiormq",
        "aiormq.Channel",
        "shared/amqp/confirms/joined.py",
        confirmations=_SENT,
        delivery_tag=_SENT,
        message_id_delivery_tag=_SENT,
        create_future="to have a publish end with its channel",
        max_content_size="to cut a body into frames",
        write_queue="to write many frames at once",
    ),
    *_all(
        "aiormq",
        "aiormq.Channel",
        "shared/amqp/channels.py",
        on_consumer_cancel_callbacks="to hear of a queue that was deleted",
    ),
    *_all(
        "aiormq",
        "aiormq.Channel",
        "shared/amqp/body_limit.py",
        frames="to drop what is beyond the head of a body before it is collected",
    ),
    *_all(
        "aiormq",
        "aiormq.abc.ChannelFrame",
        "shared/amqp/confirms/joined_frames.py",
        drain_future="to know when frames were taken",
        should_close="to write many frames at once",
    ),
    *_all(
        "aio-pika",
        "aio_pika.abc.AbstractChannel",
        "shared/amqp/channels.py",
        get_underlay_channel="to publish and consume without its locks and copies",
    ),
    *_all(
        "pamqp",
        "pamqp.commands.Basic.Properties",
        "shared/amqp/confirms/frames.py",
        amqp_type=_ENCODE,
        flags=_ENCODE,
    ),
    *_all("pamqp", "pamqp.encode", "shared/amqp/confirms/frames.py", METHODS=_ENCODE),
    *_all("pamqp", "pamqp.constants", "shared/amqp/confirms/frames.py", FRAME_END_CHAR=_ENCODE),
    *_all(
        "pamqp",
        "pamqp.decode",
        "worker/messages/tolerant_decoding.py",
        METHODS=_DECODE,
        TABLE_MAPPING=_DECODE,
    ),
    *_all(
        "pamqp",
        "pamqp.decode.METHODS",
        "worker/messages/tolerant_decoding.py",
        shortstr=_DECODE,
        timestamp=_DECODE,
        table=_DECODE,
    ),
    *_all(
        "pamqp",
        "pamqp.decode.TABLE_MAPPING",
        "worker/messages/tolerant_decoding.py",
        T=_DECODE,
        F=_DECODE,
        A=_DECODE,
    ),
    *_all(
        "typer",
        "typer.Context",
        "tests/integration/operating/test_documents.py",
        _protected_args="to parse the commands in documents without running them",
    ),
    *_all(
        "python",
        "asyncio.subprocess.Process",
        "tests/faults/launcher/test_completion_away.py",
        _transport="to have nobody read what a launcher says",
    ),
    *_all(
        "python",
        "atexit",
        "tools/support/forked.py",
        _run_exitfuncs="to end a forked program as Python ends others",
    ),
]


def _each(value: object) -> str:
    assert isinstance(value, Relied)
    return f"{value.owner}.{value.name}"


@pytest.mark.parametrize("relied", RELIED_ON, ids=_each)
def test_what_we_rely_on_is_there(relied: Relied) -> None:
    has = "" if relied.library == "python" else f" {version(relied.library)}"
    assert relied.name in _names(_found(relied.owner)), (
        f"{relied.library}{has} has no {relied.owner}.{relied.name} any more. {relied.file} uses "
        f"it {relied.to}: find another way before you take this version."
    )


@pytest.mark.parametrize("relied", RELIED_ON, ids=_each)
def test_what_is_listed_is_used(relied: Relied) -> None:
    assert re.search(rf"\b{relied.name}\b", (ROOT / relied.file).read_text()), (
        f"{relied.file} uses {relied.name} no more: take it off this list."
    )


def test_no_private_name_is_used_that_is_not_listed() -> None:
    listed = {(relied.file, relied.name) for relied in RELIED_ON}

    unlisted = [use for use in private_uses(ROOT) if (use.file, use.name) not in listed]

    assert not unlisted, "\n".join(
        f"{use.file}:{use.line} uses {use.name}, which is private to a library: find a public way, "
        "or list it here with the reason, and pin the library exactly."
        for use in unlisted
    )


def test_whatever_the_programs_rely_on_is_pinned_exactly() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {it.partition("==")[0] for it in project["dependencies"] if "==" in it}

    ours = [it for it in RELIED_ON if not it.file.startswith(("tests/", "tools/"))]
    assert {it.library for it in ours} == pinned


def test_no_class_of_ours_takes_a_private_name_of_a_library_for_its_own() -> None:
    """The library's code would read our value, and ours the library's."""
    taken = {
        f"{ours.__module__}.{ours.__qualname__}.{name} is {base.__name__}'s as well"
        for ours in _our_classes()
        for base in ours.__mro__
        if not _is_ours(base.__module__)
        for name in _named_in(ours) & _names(base)
        if is_private(name)
    }

    assert not taken


def _found(path: str) -> Any:
    """What `a.b.C.d` leads to: the longest part that is a module, and attributes from there."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise AssertionError(f"{path} leads nowhere any more")


def _names(of: Any) -> set[str]:
    """What a table, a module or a class has, and what the instances of a class are given."""
    if isinstance(of, dict):
        return {key.decode() if isinstance(key, bytes) else key for key in of}
    if not isinstance(of, type):
        return set(dir(of))
    return set(dir(of)).union(*(_defined_in(base) for base in of.__mro__))


def _defined_in(of: type) -> set[str]:
    return {*vars(of), *vars(of).get("__annotations__", {}), *_named_in(of)}


@cache
def _named_in(of: type) -> frozenset[str]:
    """The names that the source of a class gives to something of it."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(of))).body
    except (OSError, TypeError):  # written in C
        return frozenset()
    return frozenset(attributes(tree)) if isinstance(tree, ast.ClassDef) else frozenset()


def _our_classes() -> Iterator[type]:
    for package in ("gateway", "shared", "worker"):
        for found in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            if not found.name.endswith("__main__"):
                module = import_module(found.name)
                for value in vars(module).values():
                    if isinstance(value, type) and value.__module__ == found.name:
                        yield value


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("gateway", "shared", "worker")
