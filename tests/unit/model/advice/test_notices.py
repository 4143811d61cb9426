"""An address is told each thing once, whatever went wrong in between."""

import msgspec

from portroom.model.advice.alerts import step
from portroom.model.advice.notices import after, due
from portroom.model.facts.config import Alerts
from tests.unit.made_alarms import instant, key, known, watched

AT_ONCE = Alerts(for_s=0.0)


def alerts_at(held, seconds, before=()):
    """Return the alerts after so many held ports."""
    now = instant(seconds)
    return step(before, watched(known(key(held), at=now), at=now), AT_ONCE).alerts


def names(alerts):
    """Return the names of alerts."""
    return [one.name for one in alerts]


def test_what_was_told_is_not_due_any_more():
    """Nor after the state was written down and read again."""
    alerts = alerts_at(960, 0)
    told = after(alerts, {})
    read = msgspec.json.decode(msgspec.json.encode(told))

    assert ["key_critical"] == names(due(alerts, {}))
    assert () == due(alerts, told) == due(alerts_at(960, 10, alerts), told)
    assert {"key_critical host: TCP 10.0.0.20:5432 from 10.0.0.1"} == read.keys()


def test_an_end_is_due_and_then_all_is_forgotten():
    """What is known of an address never grows."""
    first = alerts_at(960, 0)
    over = alerts_at(0, 10, first)
    told = after(over, after(first, {}))

    assert ["key_critical"] == names(due(over, after(first, {})))
    assert () == due(over, told)
    assert {} == after(alerts_at(0, 9000, over), told)


def test_what_began_and_ended_unsent_is_told_once():
    """An address that could not be reached learns that there was something."""
    over = alerts_at(0, 10, alerts_at(960, 0))

    assert ["key_critical"] == names(due(over, {}))


def test_what_lasts_is_due_again():
    """When it is told anew, and only then."""
    first = alerts_at(960, 0)
    again = alerts_at(960, 4 * 3600, first)

    assert ["key_critical"] == names(due(again, after(first, {})))


def test_a_state_that_is_older_than_what_was_told_repeats_nothing():
    """A crash may lose the newest alerts, never what was sent."""
    first = alerts_at(960, 0)
    again = alerts_at(960, 4 * 3600, first)

    assert () == due(first, after(again, {}))
    assert {} != after(first, after(again, {}))
