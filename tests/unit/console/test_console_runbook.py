"""The runbook in the console: its anchors, its links, and what pages link to."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from shared.services.checks import Service
from shared.states import DeadReason
from tests.support.repository.documents import DOCS
from worker.console.runbook.document import render, runbook
from worker.console.runbook.sections import ADDRESS, OF_SERVICE, Section, of_letter


def _anchors() -> set[str]:
    return {heading.anchor for heading in runbook().headings}


def test_what_is_installed_is_the_runbook_of_the_documents() -> None:
    assert runbook() == render((DOCS / "runbook.md").read_text())


@pytest.mark.parametrize("section", Section)
def test_pages_link_to_sections_that_exist(section: Section) -> None:
    path, _, anchor = section.address.partition("#")

    assert path == ADDRESS
    assert anchor in _anchors()
    assert f'id="{anchor}"' in runbook().html


def test_each_service_and_each_reason_of_a_letter_has_a_section() -> None:
    assert set(OF_SERVICE) == set(Service)
    assert {of_letter(reason) for reason in DeadReason} <= set(Section)


def test_its_own_links_lead_to_its_sections_and_no_link_leads_elsewhere() -> None:
    targets = re.findall(r'href="([^"]*)"', runbook().html)

    assert len(targets) > 5
    assert {target.removeprefix("#") for target in targets} <= _anchors()


def test_headings_of_one_title_have_different_anchors() -> None:
    titles = ["# A `b` & c!", "## Again", "## Again"]

    anchors = [heading.anchor for heading in render("\n\n".join(titles)).headings]

    assert anchors == ["a-b--c", "again", "again-1"]


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("[logs.md](logs.md)", "<p>logs.md</p>"),
        ("[abandon it](hosts.md#x)", "<p>abandon it (docs/hosts.md)</p>"),
        ("[`them`](../deploy/a.yml)", "<p><code>them</code> (deploy/a.yml)</p>"),
        ("[below](#over-there)", '<p><a href="#over-there">below</a></p>'),
        ("[x](https://a.example/)", '<p><a href="https://a.example/">x</a></p>'),
        ("<script>x</script>", "<p>&lt;script&gt;x&lt;/script&gt;</p>"),
    ],
)
def test_a_document_that_is_not_served_is_named(text: str, html: str) -> None:
    assert render(text).html.strip() == html


def test_nothing_in_it_is_refused_by_the_policy_of_the_console() -> None:
    table = "| a | b |\n| --: | --- |\n| 1 | 2 |"

    for html in (runbook().html, render(table).html):
        assert not re.search(r"<(script|style|img)|\son\w+=|\sstyle=", html)


def _ids(html: str) -> Iterator[str]:
    yield from re.findall(r'\sid="([^"]*)"', html)


def test_no_anchor_is_given_twice() -> None:
    assert [name for name, times in Counter(_ids(runbook().html)).items() if times > 1] == []
