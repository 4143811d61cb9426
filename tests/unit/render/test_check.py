"""The plugin says one line, whatever names it has to say."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.check import (
    CRITICAL,
    OK,
    STATES,
    UNKNOWN,
    WARNING,
    Checked,
    CheckQuestion,
    Limits,
    Rate,
    Verdict,
)
from portroom.model.facts.gaps import Gap
from portroom.model.laws.verdict import verdict, with_rate
from portroom.render.check import as_line, as_unknown
from tests.unit.made_watched import AT, HOST, key, named

NUMBER = r"\d+(?:\.\d+)?"
PERFDATA = re.compile(rf"occupancy={NUMBER};{NUMBER};{NUMBER};0;1 free=\d+;;;0;\d+")
USUAL = CheckQuestion()
HOSTILE = ["a\nb", "a|b=1", "\x1b[2J", "\udcff", "x" * 5000, "日本", "'", ";;;", "\u202e"]


def line_of(*keys, netns=HOST, others=(), question=USUAL, gaps=()):
    """Return the line of a namespace with these keys."""
    one = Checked(host="h", taken_at=AT, netns=netns, gaps=gaps, keys=keys, eligible_ports=1000)
    return as_line(verdict([one, *others], question))


def test_the_line_has_state_words_and_perfdata():
    """A person reads what stands before the bar, a machine what follows."""
    assert (
        "OK: 480 of 1,000 ports free for 10.0.0.20:5432 from 10.0.0.10, 52 % held"
        " | occupancy=0.52;0.8;0.95;0;1 free=480;;;0;1000"
    ) == line_of(key(520))


def test_without_a_key_all_ports_are_free():
    """So says the perfdata, too."""
    assert (
        "OK: no connection, 1,000 ports free | occupancy=0;0.8;0.95;0;1 free=1000;;;0;1000"
    ) == line_of()


def test_doubt_is_said():
    """With both ends of what is free; perfdata is what is sure, of the worst key."""
    assert (
        "WARNING: in doubt: 100-900 of 1,000 ports free for 10.0.0.20:443 from 10.0.0.10,"
        " 10 % to 90 % held | occupancy=0.3;0.8;0.95;0;1 free=700;;;0;1000"
    ) == line_of(key(300), key(100, port=443, doubtful=800))


def test_the_namespace_is_named_among_several():
    """And of one alone it is not."""
    other = Checked(host="h", taken_at=AT, netns=named("blue"), keys=(), eligible_ports=1000)

    assert "in namespace host |" in line_of(key(960), others=[other])
    assert "namespace" not in line_of(key(960))
    assert "no connection, 1,000 ports free in each of 2 namespaces |" in line_of(others=[other])


def test_what_is_unseen_comes_first():
    """A line that is cut by an agent still says why it is unknown."""
    line = line_of(key(5), gaps=(Gap("sock_diag", "no inet_diag", ("keys",)),))

    assert line.startswith("UNKNOWN: not every key could be read: no inet_diag, 995 of")


def test_a_rate_is_told():
    """Beside the figures, and in the perfdata."""
    found = Verdict(state=OK, limits=Limits(), key=key(5), eligible_ports=1000)

    line = as_line(with_rate(found, Rate(8.25, 90.0)))
    assert ", 8.25 connects/s, full in 1 min 30 s | " in line
    assert line.endswith(" connects_per_s=8.25;;;0")
    assert ", 8.25 connects/s | " in as_line(with_rate(found, Rate(8.25, 0.0)))
    assert as_line(with_rate(found, Rate(reason="no history"))).startswith("UNKNOWN: no history, ")


def test_nothing_is_rounded_over_a_threshold():
    """79.99… % is no 0.8, and 99.99… % is not all."""
    assert "occupancy=0.7999;" in line_of(key(0, occupancy_ratio=0.79999999, held_ports=799))
    assert "occupancy=0.9999;" in line_of(key(0, occupancy_ratio=28231.5 / 28232))
    assert "occupancy=0.29;" in line_of(key(290))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_neither_ends_the_line_nor_begins_the_perfdata(name):
    """Names of namespaces, addresses and VRFs are another's, errors quote what was given."""
    other = Checked(host="h", taken_at=AT, netns=HOST, keys=(), eligible_ports=1000)
    hostile = key(990, name, vrf=name)
    lines = [
        line_of(hostile, netns=named(name), others=[other]),
        line_of(question=CheckQuestion(address=name)),
        line_of(gaps=(Gap("x", name, ("keys",)),)),
        as_unknown(name),
    ]

    for line in lines:
        is_one_line(line)


@given(
    keys=some.lists(
        some.builds(
            lambda held, doubtful, name: key(held, name, doubtful=min(doubtful, 1000 - held)),
            some.integers(0, 1000),
            some.integers(0, 1000),
            some.text(min_size=1),
        ),
        max_size=3,
    ),
    name=some.text(),
    ends=some.tuples(some.floats(0, 1), some.floats(0, 1)).map(sorted),
)
def test_any_line_has_the_form_of_a_plugin(keys, name, ends):
    """One line of ASCII, the state first, and perfdata that a machine can read."""
    question = CheckQuestion(limits=Limits(*ends))
    line = line_of(*keys, netns=named(name), question=question)

    is_one_line(line)
    assert PERFDATA.fullmatch(line.partition(" | ")[2])


def is_one_line(line):
    """Prove the form of a line."""
    assert line.isascii()
    assert line.isprintable()
    assert line.count("|") <= 1
    assert line.partition(":")[0] in STATES
    assert len(line) < 900


def test_states_are_exit_statuses():
    """Their order is that of the convention."""
    assert (OK, WARNING, CRITICAL, UNKNOWN) == STATES
