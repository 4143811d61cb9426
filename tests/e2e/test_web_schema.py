"""The description of the API holds: schemathesis asks all that it allows, and what it does not."""

from __future__ import annotations

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from portroom.daemon.openapi import document
from portroom.history.store import Store
from portroom.model.facts.config import HistoryKept
from tests.unit.daemon import made_web
from tests.unit.daemon.made_web import Web

EXAMPLES = 25 if os.environ.get("PORTROOM_TESTS") == "full" else 4

RELATED = {"/api/v1/history": [positive_data_acceptance]}
"""Checks that ask too much: which times and keys go together, no schema can say."""

schema = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """Return a web with a history, whose streams end after what there is."""
    file = str(tmp_path_factory.mktemp("history") / "history.sqlite")
    told = made_web.watched()
    store = Store(file, HistoryKept())
    store.add([(one.sample, one.forecasts) for one in told.namespaces], told.now)
    store.close()
    with Web(told, file=file) as running:
        running.board.is_closed = True
        yield running


@schema.parametrize()
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case, web):
    """Status, media type and JSON are those of the description, whatever is asked."""
    case.call_and_validate(base_url=web.url, excluded_checks=RELATED.get(case.path, []))

    assert [] == web.bugs
