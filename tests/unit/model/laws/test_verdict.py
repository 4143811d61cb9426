"""The plugin decides by what is surely held; doubt is a warning, what is unseen unknown."""

from __future__ import annotations

import pytest

from portroom.model.facts.check import (
    CRITICAL,
    OK,
    UNKNOWN,
    WARNING,
    Checked,
    CheckQuestion,
    Limits,
    Rate,
)
from portroom.model.facts.gaps import Gap
from portroom.model.laws.verdict import verdict, with_rate
from tests.unit.made_watched import AT, ELIGIBLE, HOST, key, named

USUAL = CheckQuestion()
HIDDEN = Gap("sock_diag", "no inet_diag", ("keys",))
NOT_ENTERED = Gap("namespaces", "2 gave no answer", ("namespaces",))


def checked(*keys, netns=HOST, gaps=(), eligible_ports=ELIGIBLE):
    """Return what was read of a namespace."""
    return Checked(
        host="web-1", taken_at=AT, netns=netns, gaps=gaps, keys=keys, eligible_ports=eligible_ports
    )


@pytest.mark.parametrize(
    ("held", "state"),
    [(0, OK), (799, OK), (800, WARNING), (949, WARNING), (950, CRITICAL), (1000, CRITICAL)],
)
def test_the_worst_key_decides(held, state):
    """From a threshold on, itself included, and however many other keys have room."""
    found = verdict([checked(key(5), key(held, port=443))], USUAL)

    assert state == found.state
    assert max(held, 5) == found.key.held_ports


def test_without_a_key_it_is_ok():
    """Nothing goes out: all ports are free, even where the thresholds are 0."""
    found = verdict([checked()], CheckQuestion(limits=Limits(0.0, 0.0)))

    assert (OK, None, ELIGIBLE) == (found.state, found.key, found.eligible_ports)


@pytest.mark.parametrize("doubtful", [300, 700])
def test_doubt_is_a_warning_at_most(doubtful):
    """Ports of which the kernel does not tell make no alarm, and the key is named."""
    keys = key(600), key(300, port=443, doubtful=doubtful), key(100, port=80)
    found = verdict([checked(*keys)], USUAL)
    in_doubt = doubtful == 700

    assert (WARNING if in_doubt else OK) == found.state
    assert (keys[1] if in_doubt else None) == found.doubtful
    assert keys[0] == found.key


def test_what_is_surely_over_is_not_in_doubt():
    """Where the sure figure decides, no doubt is told."""
    found = verdict([checked(key(850, doubtful=150))], USUAL)

    assert (WARNING, None) == (found.state, found.doubtful)


@pytest.mark.parametrize(
    ("keys", "state"),
    [((), UNKNOWN), ((key(5),), UNKNOWN), ((key(800),), WARNING), ((key(990),), CRITICAL)],
)
@pytest.mark.parametrize("gap", [HIDDEN, NOT_ENTERED])
def test_what_is_unseen_is_unknown_unless_what_is_seen_is_bad(keys, state, gap):
    """Another key may be worse than those that could be read: that is no OK."""
    found = verdict([checked(*keys, gaps=(gap,))], USUAL)

    assert state == found.state
    assert gap.reason in found.unseen


def test_without_settings_it_is_unknown():
    """Of how many ports, nobody can say."""
    assert UNKNOWN == verdict([checked(eligible_ports=None)], USUAL).state


def test_gaps_of_other_fields_decide_nothing():
    """Owners that may not be seen are no reason."""
    assert OK == verdict([checked(gaps=(Gap("owners", "hidepid", ("keys.owners",)),))], USUAL).state


def test_of_several_namespaces_the_worst_is_named():
    """The namespace of the worst key, or of the one in doubt."""
    first, second = checked(key(10)), checked(key(700), netns=named("blue"))
    third = checked(key(20, doubtful=900), netns=named("green"))

    assert "blue" == verdict([first, second], USUAL).netns.name
    assert "green" == verdict([first, second, third], USUAL).netns.name
    assert 3 == verdict([first, second, third], USUAL).namespaces


def test_a_rate_that_was_asked_for_and_is_not_known_is_no_ok():
    """But it hides no alarm, and a known one changes nothing."""
    good, bad = verdict([checked(key(1))], USUAL), verdict([checked(key(990))], USUAL)

    assert UNKNOWN == with_rate(good, Rate(reason="no history")).state
    assert CRITICAL == with_rate(bad, Rate(reason="no history")).state
    assert OK == with_rate(good, Rate(8.0, 60.0)).state
