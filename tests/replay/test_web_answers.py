"""What the daemon answers by HTTP of a Snapshot is what the commands answer of it, whole."""

import json

import pytest

from portroom.api.doctor import doctor
from portroom.api.look import headroom, status
from portroom.api.sampling import saved_known
from portroom.api.sessions import SessionsQuestion, sessions
from portroom.api.settings import settings
from portroom.api.source import Saved
from portroom.model.facts.config import Config
from portroom.model.facts.questions import HeadroomQuestion
from portroom.render.document import as_json
from tests.replay.snapshots import recorded_groups, snapshot
from tests.unit.daemon import made_web
from tests.unit.daemon.made_web import NOW, Web

ANSWERS = {
    "/api/v1/status": status,
    "/api/v1/headroom": lambda source: headroom(HeadroomQuestion(), source),
    "/api/v1/sessions": lambda source: sessions(SessionsQuestion(summary=True), source),
    "/api/v1/settings": settings,
    "/api/v1/findings": doctor,
}
"""The path of each, and the use case of the command."""

OWN = {"/api/v1/headroom": {"gaps"}}
"""Fields that differ: a sample says which fields lack owners, a saved Snapshot does not."""


@pytest.fixture(scope="module", name="web")
def _web():
    """Return a web on which any Snapshot can be put up."""
    with Web() as running:
        yield running


@pytest.mark.parametrize("path", ANSWERS)
def test_each_field_of_the_command_is_told_alike(recorded, web, path):
    """As `-o json` writes it of the saved Snapshot, to the last digit."""
    source = Saved(snapshot(recorded, recorded_groups(recorded)))
    web.publish(made_web.watched(saved_known(source, Config(), NOW)))
    wanted = json.loads(as_json(ANSWERS[path](source)))

    told = web.get(path).json()

    own = OWN.get(path, set())
    assert {name: value for name, value in wanted.items() if name not in own} == {
        name: told.get(name) for name in wanted if name not in own
    }
