"""Requests get the marks of their run, and stay as they are otherwise."""

import json
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.docker.rules import go_json
from worker.docker.rules.marks import label, mark_build, mark_container
from worker.docker.rules.refused import Refused
from worker.docker.scope import LABEL, Scope

SCOPE = Scope(7, UUID(int=7), "/run-cancel/7 x")

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def _marked(body: bytes) -> Any:
    config = go_json.parse(body)
    mark_container(config, config.nested("HostConfig"), SCOPE)
    return json.loads(go_json.encode(config))


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"HostConfig":null,"Labels":null}',
        b'{"HostConfig":{"CgroupParent":"/other"},"Labels":{"run-cancel.launch":"forged"}}',
        b'{"hostconfig":{"CGROUPparent":"/other"},"LABELS":{"run-cancel.launch":"forged"}}',
        '{"Label\N{LATIN SMALL LETTER LONG S}":{"run-cancel.launch":"forged"}}'.encode(),
    ],
)
def test_the_label_and_the_cgroup_parent_are_set_whatever_the_job_says(body: bytes) -> None:
    assert _marked(body) == {
        "HostConfig": {"CgroupParent": SCOPE.cgroup_parent},
        "Labels": {LABEL: str(SCOPE.launch_id)},
    }


def test_numbers_unicode_and_order_stay_as_they_are() -> None:
    body = (
        '{"z":123456789012345678901234567890,"a":1.10,"e":1E400,"u":"\u00e9\\ud800",'
        '"HostConfig":{"Memory":9007199254740993,"b":[1,{"c":null}]},"Labels":{"x":"y"}}'
    )
    config = go_json.parse(body.encode())
    mark_container(config, config.nested("HostConfig"), SCOPE)
    assert go_json.encode(config).decode() == (
        '{"z":123456789012345678901234567890,"a":1.10,"e":1E400,"u":"\\u00e9\\ud800",'
        '"HostConfig":{"Memory":9007199254740993,"b":[1,{"c":null}],'
        '"CgroupParent":"/run-cancel/7 x"},'
        f'"Labels":{{"x":"y","{LABEL}":"{SCOPE.launch_id}"}}}}'
    )


@given(st.dictionaries(st.text(), values, max_size=5))
def test_everything_else_is_unchanged(config: dict[str, Any]) -> None:
    body = json.dumps(config).encode()
    try:
        marked = _marked(body)
    except Refused as refused:
        assert refused.status == 400
        return
    marked.pop("Labels")
    marked.pop("HostConfig")
    assert marked == {k: v for k, v in config.items() if k.lower() not in ("labels", "hostconfig")}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":1} {"b":2}',
        b'{"Labels":[]}',
        b'{"HostConfig":"x"}',
        b'{"HostConfig":{},"HostConfig":{"Privileged":true}}',
        b'{"HostConfig":{},"hostConfig":{"Privileged":true}}',
        b'{"Labels":{},"labels":{}}',
        b"[" * 100_000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_go_reads_otherwise_or_not_at_all_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        _marked(body)
    assert refused.value.status == 400


def test_labels_that_differ_in_case_are_different_labels() -> None:
    config = go_json.parse(b'{"Labels":{"A":"1","a":"2","Run-Cancel.Launch":"3"}}')
    label(config, SCOPE)
    assert json.loads(go_json.encode(config))["Labels"] == {
        "A": "1",
        "a": "2",
        "Run-Cancel.Launch": "3",
        LABEL: str(SCOPE.launch_id),
    }


@pytest.mark.parametrize(
    "query",
    [
        None,
        "",
        "cgroupparent=/other",
        "cgroupparent=/other&cgroupparent=/third",
        "%63groupparent=/other",
        "cgroup%70arent=%2Fother",
        "CgroupParent=x",
        "cgroupparent",
    ],
)
def test_a_build_has_the_cgroup_parent_of_the_run_alone(query: str | None) -> None:
    assert parse_qsl(mark_build(query, SCOPE)) == [("cgroupparent", SCOPE.cgroup_parent)]


def test_the_rest_of_a_build_query_is_unchanged() -> None:
    query = "t=a%3Ab&buildargs=%7B%22a%22%3A1%7D&t=c&q"
    assert mark_build(query, SCOPE) == f"{query}&cgroupparent=%2Frun-cancel%2F7%20x"
    with pytest.raises(Refused):
        mark_build("t=a;cgroupparent=/other", SCOPE)
