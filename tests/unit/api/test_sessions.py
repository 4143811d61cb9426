"""Sessions from a saved Snapshot: what was saved answers, what was not says so."""

import datetime

import msgspec
import pytest

from portroom.api.sessions import sessions, user_names
from portroom.api.source import Saved
from portroom.errors import NotSupportedError
from portroom.model.facts.snapshot import Gap, NetnsId, Owners, Rows, Snapshot
from portroom.model.facts.sockets import Family, Owner, Protocol, TcpState
from portroom.model.laws.session_words import parse_sort
from portroom.model.laws.sessions import SessionsQuestion

AT = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.UTC)
EMPTY = Snapshot("h", "b", AT, NetnsId("host", 1, 2, "host"))
NGINX = Owner(7, 70, "nginx", 33, None, None, 1)


def taken(ports, owners=None, **parts):
    """Return a Snapshot of one connection a local port, inodes counted from 1."""
    count = len(ports)
    rows = Rows(
        [Protocol.TCP] * count,
        [Family.IPV4] * count,
        [TcpState.ESTABLISHED] * count,
        ["127.0.0.1"] * count,
        list(ports),
        ["127.0.0.1"] * count,
        [443] * count,
        [0] * count,
        [0] * count,
        [33] * count,
        list(range(1, count + 1)),
        [0] * count,
    )
    found = owners or Owners(by_inode={1: (NGINX,)})
    return Saved(msgspec.structs.replace(EMPTY, rows=rows, owners=found, **parts))


def ports_of(source, **question):
    """Return the local ports of the sessions that a question gives."""
    answer = sessions(SessionsQuestion(**question), source)
    return [session.local_port for session in answer.sessions], answer.sessions_total


def test_a_limit_cuts_after_sorting_and_keeps_the_total():
    """The largest two of three."""
    sort = parse_sort(["-local"])

    assert ([9, 5], 3) == ports_of(taken([5, 1, 9]), sort=sort, limit=2)


def test_a_process_limits_the_total_too():
    """Only sessions of the process count."""
    assert ([5], 1) == ports_of(taken([5, 1, 9]), process="nginx")


def test_a_snapshot_without_sessions_says_how_to_save_them():
    """What was not saved is no empty answer."""
    with pytest.raises(NotSupportedError) as caught:
        sessions(SessionsQuestion(), Saved(EMPTY))

    assert "--sessions" in caught.value.hint


def test_owners_that_nobody_saved_are_a_gap():
    """The gap says why, and which field it makes empty."""
    answer = sessions(SessionsQuestion(), taken([5], Gap("owners", "not_looked_at")))

    assert (Gap("owners", "not_looked_at", ("sessions.owners",)),) == answer.gaps


def test_owners_that_could_not_be_seen_are_counted():
    """Only sessions that have an inode and are shown count."""
    hidden = Owners(by_inode={1: (NGINX,)}, complete=False)
    (gap,) = sessions(SessionsQuestion(), taken([5, 1, 9], hidden)).gaps
    shown = sessions(SessionsQuestion(limit=1), taken([5, 1, 9], hidden))

    assert gap.reason.startswith("2 sockets have an owner that was not seen")
    assert () == shown.gaps


def test_doubts_about_keys_are_none_about_sessions():
    """A gap that touches only keys stays with them."""
    gaps = (Gap("sock_diag", "x", ("keys",)), Gap("sock_diag", "y", ("sessions",)))
    answer = sessions(SessionsQuestion(), taken([5], gaps=gaps))

    assert gaps[1:] == answer.gaps


def test_a_summary_without_counters_is_a_gap():
    """Nothing is counted as 0."""
    answer = sessions(SessionsQuestion(summary=True), Saved(EMPTY))

    assert answer.summary is None
    assert "sessions" in {name for gap in answer.gaps for name in gap.affects}


def test_user_names_of_a_snapshot_are_those_saved_with_it():
    """A uid of another host may be somebody else here."""
    source = taken([5], users={33: "www"})
    answer = sessions(SessionsQuestion(), source)

    assert {33: "www"} == user_names([answer], source)
