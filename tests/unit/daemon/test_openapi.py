"""The description names every endpoint, and leads nowhere that does not exist."""

import json
import re

from portroom.daemon import openapi
from portroom.daemon.endpoints import COMMON, ENDPOINTS
from portroom.daemon.page import as_html


def test_every_endpoint_is_described():
    """With every status that it may have."""
    paths = openapi.document()["paths"]

    assert [endpoint.path for endpoint in ENDPOINTS] == list(paths)
    for endpoint in ENDPOINTS:
        told = set(paths[endpoint.path]["get"]["responses"])
        assert {"200", *map(str, (*COMMON, *endpoint.statuses))} <= told


def test_nothing_is_described_that_writes():
    """Each path has one method."""
    assert {("get",)} == {tuple(path) for path in openapi.document()["paths"].values()}


def test_every_reference_leads_to_a_schema():
    """Also those within schemas."""
    text = openapi.as_json().decode()
    schemas = json.loads(text)["components"]["schemas"]
    named = set(re.findall(r'"#/components/schemas/(\w+)"', text))

    assert set() == named - schemas.keys()
    assert set() == schemas.keys() - named


def test_the_page_links_to_every_endpoint():
    """And loads nothing from anywhere."""
    page = as_html(ENDPOINTS)

    assert [] == [one.path for one in ENDPOINTS if f'href="{one.path}"' not in page][1:]
    assert [] == re.findall(r"<(script|link|style|img)|https?:", page)
