"""The page of the API is complete and says what the daemon does."""

from __future__ import annotations

import msgspec
import pytest

from portroom.daemon import events, guard, limits
from portroom.daemon.answering import MOST_MOMENTS
from portroom.daemon.endpoints import ENDPOINTS, MOST_ITEMS
from portroom.model.laws.watched_keys import MISSED
from tests.docs import blocks, http_api
from tests.docs.pages import ROOT, rewritten

PAGE = ROOT / "docs/reference/http-api.md"


def test_the_page_is_as_the_code_has_it():
    """Its written parts are current, and nothing in it lacks its words."""
    text = PAGE.read_text()

    assert rewritten(text) == text
    assert "**not documented**" not in text


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.name)
def test_every_endpoint_has_a_section(endpoint):
    """With each of its parameters."""
    section = PAGE.read_text().partition(f"### {endpoint.path}\n")[2].partition("\n### ")[0]

    assert endpoint.summary in section
    assert [] == [one.name for one in endpoint.parameters if f"`{one.name}`" not in section]


def test_no_words_are_left_of_what_is_gone():
    """An endpoint, type or field that is gone takes its words with it."""
    words = dict(http_api.read_words())
    endpoints = words.pop("endpoints")
    fields = {
        struct.__name__: {one.name for one in msgspec.structs.fields(struct)}
        for struct in http_api.own_types()
    }

    assert {one.name for one in ENDPOINTS} == set(endpoints)
    assert {} == {
        name: set(told) - fields.get(name, set())
        for name, told in words.items()
        if set(told) - fields.get(name, set())
    }


def test_every_number_has_a_unit():
    """A count, a time or a rate says of what."""
    ids = {"schema_version"}
    bare = [
        f"{struct.__name__}.{field.name}"
        for struct in http_api.own_types()
        for field in http_api.own_fields(struct)
        if blocks.type_name(msgspec.inspect.type_info(field.type), []).startswith(("int", "num"))
        and field.name not in ids
        and not http_api.told(struct, field.name)[0]
    ]

    assert [] == bare


@pytest.mark.parametrize(
    "text",
    [
        f"| {guard.MOST_HEADER_BYTES >> 10} KiB, else 431 |",
        f"| {limits.HEADER_TIMEOUT_S:g} s, else 408 |",
        f"| {limits.MOST_CONNECTIONS}; one more",
        f"| {limits.MOST_STREAMS}, else 503 |",
        f"| {limits.MOST_UNWANTED_BYTES >> 10} KiB, then",
        f"| {limits.STUCK_TIMEOUT_S:g} s, then",
        f"| {MOST_ITEMS:,} |",
        f"| {MOST_MOMENTS:,}, else 400 |",
        f"At most {limits.MOST_STREAMS} streams",
        f"every {events.PING_S:g} s",
    ],
)
def test_a_limit_is_told_as_it_is(text):
    """The same in the code and on the page."""
    assert text in PAGE.read_text()


def test_three_missed_samples_are_three():
    """What /healthz goes by."""
    assert 3 == MISSED
