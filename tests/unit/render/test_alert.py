"""A message says what is wrong, where and how much, and nothing in it acts."""

import msgspec
import pytest

from portroom.model.advice.alerts import step
from portroom.model.facts.config import Alerts
from portroom.render.alert import MOST_TOLD, OVER, as_message
from tests.unit.made_alarms import failures, instant, key, known, watched

AT_ONCE = Alerts(for_s=0.0)


def told_at(held, seconds=0, before=(), **more):
    """Return the step after so many held ports."""
    now = instant(seconds)
    return step(before, watched(known(key(held), at=now), at=now, **more), AT_ONCE)


def test_one_alert_is_one_message():
    """What, where, how much, since when, and where to read on."""
    message = as_message(told_at(960).told, "db-7")

    assert message == (
        "[critical] db-7: A destination has hardly a port left",
        (
            "CRITICAL: A destination has hardly a port left\n"
            "host: TCP 10.0.0.20:5432 from 10.0.0.1\n"
            "960 of 1,000 ports for TCP 10.0.0.20:5432 from 10.0.0.1 are held. "
            "40 connections more fit.\n"
            "Since 2026-03-01 08:00:00 UTC.\n"
            "What to do: docs/alerts/key_critical.md\n"
        ),
        "critical",
    )


def test_an_end_says_from_when_to_when():
    """And is no bad news."""
    message = as_message(told_at(0, 90, told_at(960).alerts).told, "db-7")

    assert "[resolved] db-7: A destination has hardly a port left" == message.title
    assert "From 2026-03-01 08:00:00 UTC to 2026-03-01 08:01:30 UTC; it is over." in message.body
    assert OVER == message.severity


def test_several_are_one_message_with_the_gravest_first():
    """An end that comes with a beginning stands last."""
    after = told_at(850, 10, told_at(960).alerts)
    message = as_message(after.told, "db-7")

    assert "[warning] db-7: A destination has few ports left (and 1 other)" == message.title
    assert message.body.index("WARNING") < message.body.index("RESOLVED")
    assert "warning" == message.severity


def test_a_storm_is_one_message_of_some_length():
    """What is left out is counted."""
    (one,) = told_at(960).told
    many = [msgspec.structs.replace(one, subject=f"web: {number}") for number in range(500)]
    message = as_message(many, "db-7")

    assert MOST_TOLD == message.body.count("CRITICAL")
    assert f"And {500 - MOST_TOLD} more" in message.body
    assert "(and 499 others)" in message.title


@pytest.mark.parametrize("hostile", ["@everyone", "a\nb", "\x1b[31m", "\u202e", "x" * 10_000])
def test_hostile_names_neither_act_nor_call_anybody(hostile):
    """Names of processes, hosts and namespaces are anybody's."""
    seen = failures(last_at=instant(0).at)
    row = msgspec.structs.replace(seen.counts[0], command=hostile)
    counts = msgspec.structs.replace(seen, counts=(row,))
    message = as_message(told_at(0, failures=counts).told, hostile)

    assert "@" not in message.title + message.body
    assert message.title.isprintable()
    assert all(line.isprintable() for line in message.body.splitlines())
    assert 6 > len(message.body.splitlines())
    assert 2_000 > len(message.body)
