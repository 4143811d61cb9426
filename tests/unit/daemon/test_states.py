"""A state has one line when it begins and one when it ends, however many samples lie between."""

import msgspec
import pytest

from portroom.daemon.states import States, status_line
from portroom.model.facts.gaps import Gap, not_looked_at
from portroom.model.facts.sample import FULL, IN_RANGE
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.trial import BrokenOff
from portroom.model.facts.watched import FIRING, PENDING, RESOLVED, Alert, HistoryState
from tests.unit.daemon.made import NOW, Told, below_half, key, sampled, watched

HIDDEN = Gap("owners", "12 of 300 processes are hidden", ("owners",))
HIDDEN_MORE = Gap("owners", "13 of 301 processes are hidden", ("owners",))
DEGRADED = Gap("sock_diag", "degraded: the kernel has no inet_diag", ("keys",))


def told(*newest):
    """Return what is told of one Watched after the other."""
    log = Told()
    states = States(log)
    for one in newest:
        states.note(one)
    return log


def test_a_gap_is_told_when_it_begins_and_ends():
    """The numbers in it may differ from sample to sample."""
    bad, worse, good = (
        watched(sampled(*gaps)) for gaps in ((HIDDEN, DEGRADED), (HIDDEN_MORE, DEGRADED), ())
    )
    log = told(good, bad, worse, bad, good, good)

    assert ["gap", "gap", "gap_over", "gap_over"] == log.events
    assert "Not seen: owners: 12 of 300 processes are hidden. Uncertain: owners." in log.sentences


def test_what_only_a_full_sample_sees_is_not_over_because_others_do_not_look():
    """Quick samples lie between two full ones; and a namespace that is gone has no gaps."""
    full, quick, mended = (
        watched(sampled(*gaps, depth=depth))
        for gaps, depth in (((HIDDEN,), FULL), ((), IN_RANGE), ((), FULL))
    )

    assert ["gap"] == told(full, quick, full, quick, watched(below_half())).events
    assert ["gap", "gap_over"] == told(full, quick, mended).events
    assert ["gap", "gap_over"] == told(full, watched()).events


def test_a_choice_is_no_state():
    """Nobody wanted to look: below half, or as it would take long."""
    log = told(watched(below_half()), watched(sampled(not_looked_at("owners"))))

    assert [] == log.events


def test_gaps_that_namespaces_share_are_one_state():
    """A host may have thousands of namespaces."""
    many = [
        sampled(HIDDEN, netns=NetnsId(f"n{number}", number, number, "named"))
        for number in range(300)
    ]

    assert ["gap"] == told(watched(*many)).events


def test_a_flood_of_gaps_is_bounded():
    """Reasons that quote hostile names may all differ."""
    gaps = tuple(Gap("a", "x" * number) for number in range(5000))

    assert len(told(watched(sampled(*gaps))).events) < 200


def alert(state, severity="warning"):
    """Return an alert in a state."""
    return Alert("key_tight", severity, "host tcp 10.0.0.20:5432", "81 % full.", state, NOW, 0.81)


STATES = {
    "sample_error": {"error": "cannot read", "missed_samples": 1},
    "history_degraded": {"history": HistoryState("degraded", "no space left", "h.sqlite")},
    "history_set_aside": {"history": HistoryState("ok", set_aside=("h.sqlite.corrupt-1",))},
    "namespaces_omitted": {"namespaces_omitted": 7},
    "change": {"broken_off": (BrokenOff(3, ("range=1-2",)),)},
    "alert": {"alerts": (alert(FIRING),)},
    "gap": {"failures": Gap("trace", "nobody serves", ("failures",))},
}


@pytest.mark.parametrize("event", STATES)
def test_each_state_begins_and_ends(event):
    """A line each, and none while it lasts."""
    bad = watched(sampled(), **STATES[event])
    log = told(watched(sampled()), bad, bad, watched(sampled()), watched(sampled()))

    assert [event, f"{event}_over"] == log.events


def test_an_alert_that_does_not_fire_is_no_state():
    """It waits, or is over."""
    assert [] == told(watched(alerts=(alert(PENDING), alert(RESOLVED)))).events


def test_an_alert_that_gets_worse_is_told():
    """Warning is over as critical begins."""
    log = told(watched(alerts=(alert(FIRING),)), watched(alerts=(alert(FIRING, "critical"),)))

    assert ["alert", "alert", "alert_over"] == log.events


def test_the_status_changes_only_when_something_does():
    """It has no time and no count that moves."""
    tight = watched(sampled(keys=(key(812), key(3))))

    assert (
        "Samples 1 network namespace every 10 s; the tightest key is 81 % full."
        == status_line(tight)
        == status_line(msgspec.structs.replace(tight, samples_total=101))
    )
    assert "no key is half full" in status_line(watched(below_half()))
    assert "No sample: it hangs." == status_line(watched(error="it hangs."))
