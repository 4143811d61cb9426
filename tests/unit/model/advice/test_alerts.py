"""Alerts begin when they should, last through doubt, end once, and are told once."""

from __future__ import annotations

import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.model.advice.alert_table import RULES, page
from portroom.model.advice.alerts import ENDED_KEPT_S, MOST_SUBJECTS, identity, step
from portroom.model.facts.answers import CRITICAL, INFO, SEVERITIES, WARNING, Drift, Finding
from portroom.model.facts.config import Alerts
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import HIGH, LOW, Forecast
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.trial import BrokenOff, PendingTrial
from portroom.model.facts.watched import FIRING, PENDING, RESOLVED, HistoryState
from tests.unit.made_alarms import (
    HOST,
    MORNING,
    failures,
    findings,
    instant,
    key,
    known,
    status,
    watched,
)

AT_ONCE = Alerts(for_s=0.0)
OTHER = msgspec.structs.replace(HOST, name="web", cookie=2, inode=3)


def firing(step_after):
    """Return the names of the rules that fire."""
    return [one.name for one in step_after.alerts if one.state == FIRING]


def told(step_after):
    """Return name and state of what is told."""
    return [(one.name, one.state) for one in step_after.told]


def at_ratio(held, seconds, *, before=(), config=AT_ONCE, **more):
    """Return the step after so many held ports of a key at a moment."""
    now = instant(seconds)
    return step(before, watched(known(key(held, **more), at=now), at=now), config)


@pytest.mark.parametrize(
    ("held", "names", "severities"),
    [
        (499, [], []),
        (500, ["key_half"], []),
        (799, ["key_half"], []),
        (800, ["key_tight", "key_half"], [WARNING]),
        (950, ["key_critical", "key_tight", "key_half"], [CRITICAL]),
        (1000, ["key_critical", "key_tight", "key_half"], [CRITICAL]),
    ],
)
def test_half_is_info_and_tells_nobody_then_it_warns_then_it_is_critical(held, names, severities):
    """At a half, four fifths and nineteen twentieths; only the gravest is told."""
    after = at_ratio(held, 1)

    assert names == firing(after)
    assert severities == [one.severity for one in after.told]


def test_info_is_told_to_who_asks_for_it():
    """With least_severity = info the half of a key is told, too."""
    after = at_ratio(600, 1, config=Alerts(for_s=0, least_severity="info"))

    assert [("key_half", FIRING)] == told(after)


def test_what_does_not_last_is_never_told():
    """A peak shorter than ``for`` is pending, then forgotten."""
    pending = at_ratio(990, 0, config=Alerts(for_s=30))
    still = at_ratio(990, 29, before=pending.alerts, config=Alerts(for_s=30))
    over = at_ratio(100, 30, before=still.alerts, config=Alerts(for_s=30))

    assert {PENDING} == {one.state for one in (*pending.alerts, *still.alerts)}
    assert () == pending.told == still.told == over.told == over.alerts


def test_what_lasts_is_told_once_and_its_end_once():
    """Thirty seconds later it fires; nobody is told again until it ends."""
    config = Alerts(for_s=30)
    alerts, seen = (), []
    for seconds, held in ((0, 960), (10, 970), (30, 960), (40, 980), (50, 100), (60, 100)):
        after = at_ratio(held, seconds, before=alerts, config=config)
        alerts = after.alerts
        seen += [(seconds, *one) for one in told(after)]

    assert [(30, "key_critical", FIRING), (50, "key_critical", RESOLVED)] == seen


def test_what_swings_about_a_threshold_is_told_once():
    """It has to fall by ``clear`` before it ends."""
    alerts, seen = (), []
    for seconds, held in enumerate((810, 790, 805, 760, 850, 751, 800, 749, 810)):
        after = at_ratio(held, seconds, before=alerts)
        alerts = after.alerts
        seen += [(held, *one) for one in told(after)]

    assert [
        (810, "key_tight", FIRING),
        (749, "key_tight", RESOLVED),
        (810, "key_tight", FIRING),
    ] == seen


def test_what_lasts_for_hours_is_told_again():
    """After ``repeat``, and not before."""
    first = at_ratio(960, 0)
    early = at_ratio(960, 4 * 3600 - 1, before=first.alerts)
    late = at_ratio(960, 4 * 3600, before=early.alerts)

    assert [("key_critical", FIRING)] == told(first) == told(late)
    assert [] == told(early)
    assert 2 == late.told[0].tellings


def test_a_warning_that_becomes_critical_is_told_so_and_its_end_too():
    """Up: the graver one is told. Down: its end, and nothing of the lighter again."""
    warned = at_ratio(850, 0)
    worse = at_ratio(960, 10, before=warned.alerts)
    better = at_ratio(850, 20, before=worse.alerts)

    assert [("key_tight", FIRING)] == told(warned)
    assert [("key_critical", FIRING)] == told(worse)
    assert [("key_critical", RESOLVED)] == told(better)


def test_a_critical_one_that_only_becomes_a_warning_leaves_no_silence():
    """Who was told of the graver alone is told of the lighter when the graver ends."""
    worst = at_ratio(960, 0)
    better = at_ratio(850, 10, before=worst.alerts)

    assert [("key_critical", RESOLVED), ("key_tight", FIRING)] == told(better)


def test_only_sure_ports_decide_and_doubt_is_a_warning_of_its_own():
    """Over the threshold by the doubtful ports alone: a warning that says in doubt."""
    after = at_ratio(500, 0, doubtful=470)

    assert [("in_doubt", FIRING)] == told(after)
    assert WARNING == after.told[0].severity
    assert after.told[0].summary.startswith("In doubt: ")


def test_one_tight_key_makes_no_warning_of_each_other_one():
    """What is in doubt for one key is so for all: one alert, and none beside what is sure."""
    doubtful = [key(10, doubtful=900, remote=f"10.0.0.{number}") for number in range(30, 40)]

    alone = step((), watched(known(*doubtful)), AT_ONCE)
    beside = step((), watched(known(key(850), *doubtful)), AT_ONCE)

    assert [("in_doubt", FIRING)] == told(alone)
    assert [("key_tight", FIRING)] == told(beside)


def test_a_namespace_without_a_name_is_the_same_after_a_restart():
    """It is called by whichever process is found in it; its cookie stays."""
    one, other = (NetnsId(f"pid:{pid} (web)", 12, 34, "process", pid) for pid in (7, 8))

    before = step((), watched(known(key(960), netns=one)), AT_ONCE)
    after = step(before.alerts, watched(known(key(960), netns=other), at=instant(101)), AT_ONCE)

    assert [("key_critical", FIRING)] == told(before)
    assert [] == told(after)


def test_a_forecast_within_fifteen_minutes_warns():
    """From medium confidence on; it ends when it is far again."""
    soon = Forecast(exhausted_in_s=600.0, confidence=HIGH)
    unsure = Forecast(exhausted_in_s=600.0, confidence=LOW)
    later = Forecast(exhausted_in_s=1800.0, confidence=HIGH)

    def after(forecast, before=()):
        """Return the step after this forecast."""
        return step(before, watched(known(key(600), forecasts=(forecast,))), AT_ONCE)

    first = after(soon)

    assert [("exhaustion_forecast", FIRING)] == told(first)
    assert [] == told(after(unsure)) == told(after(later)) == told(after(Forecast()))
    assert [] == told(after(unsure, first.alerts))
    assert [("exhaustion_forecast", RESOLVED)] == told(after(later, first.alerts))


def test_failed_connects_are_critical_at_once_and_for_five_minutes():
    """Whatever ``for`` says: users notice already."""
    config = Alerts()
    seen = failures(last_at=instant(100).at)
    first = step((), watched(failures=seen, at=instant(100)), config)
    later = step(first.alerts, watched(failures=seen, at=instant(399)), config)
    over = step(later.alerts, watched(failures=seen, at=instant(401)), config)

    assert [("failed_connects", FIRING)] == told(first)
    assert CRITICAL == first.told[0].severity
    assert [] == told(later)
    assert [("failed_connects", RESOLVED)] == told(over)


def test_failures_of_another_cause_are_no_want_of_ports():
    """A full unix backlog is told elsewhere."""
    seen = failures(last_at=instant().at, cause="unix_backlog_full")

    assert () == step((), watched(failures=seen), AT_ONCE).alerts


def test_failures_that_nobody_counts_are_none():
    """Without the trace service there is a Gap, and no alert."""
    gap = Gap("trace", "not there", ())

    assert () == step((), watched(failures=gap), AT_ONCE).alerts


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("trial_overdue", {"trials": (PendingTrial(3, (), "host", -9.0, False),)}),
        ("change_broken_off", {"broken_off": (BrokenOff(4, ()),)}),
        ("history_degraded", {"history": HistoryState("degraded", "The disk is full.")}),
        ("sampling_failing", {"missed_samples": 3, "error": "No sock_diag."}),
    ],
)
def test_what_is_wrong_with_the_host_is_told(name, more):
    """And ends when it is well again."""
    first = step((), watched(**more), AT_ONCE)
    after = step(first.alerts, watched(), AT_ONCE)

    assert [(name, FIRING)] == told(first)
    assert [(name, RESOLVED)] == told(after)


def test_a_trial_that_waits_is_info():
    """It tells nobody, but stands on the page."""
    after = step((), watched(trials=(PendingTrial(3, (), "host", 60.0, True),)), AT_ONCE)

    assert [("trial_pending", INFO)] == [(one.name, one.severity) for one in after.alerts]
    assert () == after.told


def test_one_missed_sample_is_no_alert():
    """Three in a row are."""
    assert () == step((), watched(missed_samples=2, error="busy"), AT_ONCE).alerts


DRIFT = Drift("range", "15000-64001", "32768-60999", "/etc/sysctl.conf", 3)
LISTENER = Finding(WARNING, "listener_in_range", "web listens on 40000.", "Reserve it.")


@pytest.mark.parametrize(
    ("name", "more", "without"),
    [
        ("drift", {"status": status(DRIFT)}, {"status": status()}),
        ("collision", {"findings": findings(LISTENER)}, {"findings": findings()}),
    ],
)
def test_drift_and_collisions_are_told_unless_nobody_wants_it(name, more, without):
    """Each has a switch; both last while nobody looked anew."""
    first = step((), watched(known(**more)), AT_ONCE)
    unseen = step(first.alerts, watched(known()), AT_ONCE)
    over = step(unseen.alerts, watched(known(**without)), AT_ONCE)
    silent = step((), watched(known(**more)), msgspec.structs.replace(AT_ONCE, **{name: False}))

    assert [(name, FIRING)] == told(first)
    assert [name] == firing(unseen)
    assert [(name, RESOLVED)] == told(over)
    assert () == silent.alerts


def test_a_trial_is_no_drift_yet():
    """Whoever tries a value knows that the next boot gives another."""
    trial = PendingTrial(3, (), "host", 60.0, True)
    tried = step((), watched(known(status=status(DRIFT)), trials=(trial,)), AT_ONCE)
    kept = step(tried.alerts, watched(known(status=status(DRIFT))), AT_ONCE)

    assert [] == told(tried)
    assert ["drift"] == [name for name, _ in told(kept)]


def test_a_rule_that_could_not_look_ends_nothing():
    """listener_in_range among the unchecked is not that there is none."""
    first = step((), watched(known(findings=findings(LISTENER))), AT_ONCE)
    blind = known(findings=findings(unchecked=("listener_in_range",)))
    after = step(first.alerts, watched(blind), AT_ONCE)

    assert ["collision"] == firing(after)


def test_a_stale_sample_neither_begins_nor_ends_anything():
    """Three intervals without a sample: what was known is no news."""
    first = at_ratio(960, 0)
    old, now = known(key(100), at=instant(10)), instant(50)
    after = step(first.alerts, watched(old, at=now), AT_ONCE)
    fresh = step((), watched(known(key(990), at=instant(10)), at=now), AT_ONCE)

    assert [] == told(after) == told(fresh)
    assert "key_critical" in firing(after)


def test_what_nobody_can_look_at_for_an_hour_ends():
    """An alert is not kept for ever on an old word."""
    first = at_ratio(960, 0)
    now = instant(3600)
    after = step(first.alerts, watched(known(at=instant(1)), at=now), AT_ONCE)

    assert ("key_critical", RESOLVED) in told(after)


def test_below_half_ends_what_fired():
    """A skipped sample knows surely that no key is half full."""
    first = at_ratio(960, 0)
    now = instant(10)
    after = step(first.alerts, watched(known(at=now, below_half=True), at=now), AT_ONCE)

    assert [("key_critical", RESOLVED)] == told(after)


def test_a_namespace_that_is_gone_ends_its_alerts_and_one_unread_does_not():
    """With an error nobody knows which of both it is."""
    first = step((), watched(known(), known(key(990), netns=OTHER)), AT_ONCE)
    gone = step(first.alerts, watched(known()), AT_ONCE)
    unread = step(first.alerts, watched(known(), error="setns: EPERM"), AT_ONCE)
    starting = step(first.alerts, watched(), AT_ONCE)

    assert [("key_critical", RESOLVED)] == told(gone)
    assert [] == told(unread) == told(starting)
    assert "key_critical" in firing(unread)


def test_what_ended_is_shown_for_an_hour():
    """So that an end is still sent when the network comes back."""
    first = at_ratio(960, 0)
    over = at_ratio(0, 10, before=first.alerts)
    shown = at_ratio(0, 9 + ENDED_KEPT_S, before=over.alerts)
    gone = at_ratio(0, 10 + ENDED_KEPT_S, before=shown.alerts)

    assert {RESOLVED} == {one.state for one in shown.alerts}
    assert () == shown.told == gone.alerts


def test_a_restart_tells_nothing_twice():
    """What was written down and read again goes on as if nothing had been."""
    first = at_ratio(960, 0)
    text = msgspec.json.encode(first.alerts)
    read = msgspec.json.decode(text, type=type(first.alerts) and tuple[type(first.alerts[0]), ...])
    after = at_ratio(960, 10, before=read)

    assert [] == told(after)
    assert firing(first) == firing(after)


def test_another_boot_goes_by_the_wall_clock_and_waits_anew():
    """Time since boot means nothing over a boot."""
    config = Alerts(for_s=30)
    first = at_ratio(960, 5000)
    pending = at_ratio(960, 5000, config=config)
    now = instant(5010, boot="boot-2")
    fires = step(first.alerts, watched(known(key(960), at=now), at=now), config)
    waits = step(pending.alerts, watched(known(key(960), at=now), at=now), config)

    assert [] == told(fires)
    assert {PENDING} == {one.state for one in waits.alerts}
    assert {now} == {one.since for one in waits.alerts}


@pytest.mark.parametrize("days", [-1, 1])
def test_a_jump_of_the_wall_clock_changes_nothing(days):
    """Within a boot only its own time counts."""
    first = at_ratio(960, 0)
    now = msgspec.structs.replace(instant(10), at=MORNING + datetime.timedelta(days=days))
    after = step(first.alerts, watched(known(key(960), at=now), at=now), AT_ONCE)

    assert [] == told(after)


def test_a_hundred_full_destinations_are_a_few_alerts():
    """At most so many of a rule, the tightest; those that fire stay the same."""
    keys = [key(999 - number, port=number + 1) for number in range(100)]
    first = step((), watched(known(*keys)), AT_ONCE)
    after = step(first.alerts, watched(known(*reversed(keys))), AT_ONCE)

    assert MOST_SUBJECTS == len(first.told)
    assert () == after.told
    assert "port" in first.told[0].summary


def test_each_alert_has_a_page_and_a_sentence():
    """Whatever fires can be read up."""
    after = at_ratio(960, 0)

    assert [page(one.name) for one in after.alerts] == [one.page for one in after.alerts]
    assert all(one.summary.endswith(".") for one in after.alerts)


def test_rules_stand_in_the_order_of_their_severity():
    """The gravest first; who silences stands before who is silenced, and is graver."""
    places = {rule.name: place for place, rule in enumerate(RULES)}
    order = [SEVERITIES.index(rule.severity) for rule in RULES]

    assert sorted(order) == order
    assert all(places[graver] < places[rule.name] for rule in RULES for graver in rule.silenced_by)
    assert all((rule.of_host is None) != (rule.of_netns is None) for rule in RULES)


@given(
    st.lists(
        st.tuples(st.integers(1, 600), st.integers(0, 1000), st.integers(0, 200), st.booleans()),
        max_size=20,
    ),
    st.sampled_from((0.0, 30.0)),
)
def test_whatever_happens_beginnings_and_ends_are_told_in_turn(moments, for_s):
    """No end without a beginning, none told twice, and no two alerts of one thing."""
    alerts, seconds = (), 0
    seen: dict[tuple[str, str], str] = {}
    for wait_s, held, doubtful, is_read in moments:
        seconds += wait_s
        now = instant(seconds)
        one = known(key(held, doubtful=min(doubtful, 1000 - held)), at=now)
        after = step(
            alerts,
            watched(*([one] if is_read else []), at=now),
            Alerts(for_s=for_s, repeat_s=1e9),
        )
        alerts = after.alerts
        assert len(alerts) == len({identity(one) for one in alerts})
        for one in after.told:
            assert seen.get(identity(one), RESOLVED) != one.state
            seen[identity(one)] = one.state
