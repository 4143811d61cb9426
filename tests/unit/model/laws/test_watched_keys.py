"""Which keys may still be told, and which is the worst of several namespaces."""

from __future__ import annotations

from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import HIGH, Flow, Forecast
from portroom.model.laws.watched_keys import fresh, has_no_key, ranked, worst
from tests.unit.made_watched import below_half, key, known, named, sample, watched

HIDDEN = Gap("sock_diag", "no inet_diag", ("keys",))


def test_keys_of_several_namespaces_come_the_fullest_first():
    """Each with its namespace, its flow and its forecast."""
    flow, forecast = Flow(1, 2, (), 60.0), Forecast(confidence=HIGH)
    first = known(sample(key(900), key(100), flows=(flow,)), forecast)
    second = known(sample(key(500), netns=named("blue")))

    found = ranked([first, second])

    assert [900, 500, 100] == [one.key.held_ports for one in found]
    assert [first, second, first] == [one.known for one in found]
    assert [(flow, forecast), (None, None), (None, None)] == [one[2:] for one in found]
    assert found[:2] == ranked([first, second], 2)


def test_the_worst_is_told_only_if_it_is_known():
    """A namespace below half may have a fuller key than one that is not half full."""
    hidden, full = known(below_half()), known(sample(key(500)))

    assert full == worst([hidden, full]).known
    assert None is worst([hidden, known(sample(key(499)))])
    assert None is worst([hidden])
    assert None is worst([])


def test_no_key_is_said_only_where_all_was_seen():
    """Not next to a namespace below half, and not where a gap hides the keys."""
    empty = known(sample())

    assert has_no_key([empty, empty])
    assert not has_no_key([])
    assert not has_no_key([empty, known(below_half())])
    assert not has_no_key([known(sample(gaps=(HIDDEN,)))])
    assert not has_no_key([known(sample(key(1)))])


def test_what_was_read_once_is_told():
    """Without an interval nothing is sampled again, and nothing is too old."""
    once = watched(sample(key(1), age_s=9999), interval_s=0.0)

    assert once.namespaces == fresh(once, age_s=9999)
