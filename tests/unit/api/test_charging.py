"""What charging looks at, and what it does not ask the kernel for."""

from __future__ import annotations

import datetime

from portroom.api import charging
from portroom.api.charging import Charging
from portroom.model.facts.config import OwnersKept
from portroom.model.facts.gaps import not_looked_at
from portroom.model.facts.sample import UNKNOWN, Charge, Instant
from portroom.model.facts.snapshot import Counters, Groups
from portroom.model.facts.sockets import Operation, Protocol, TcpState
from portroom.model.laws.headroom import KeysWanted, find_keys
from tests.unit.made_groups import TAKEN_AT, settings, snapshot, table

HERE, THERE, ELSEWHERE = ("198.51.100.1", 443), ("198.51.100.2", 443), ("198.51.100.3", 443)
NOW = Instant("6f1ed002-ab5b-4b5e-9f4f-000000000001", 100.0, TAKEN_AT)


def read_of(*tables):
    """Return a Snapshot of some tables."""
    return snapshot(Groups(tables, (), vrfs=()), settings())


def keys_of(read, **wanted):
    """Return keys of a Snapshot."""
    return find_keys(read, KeysWanted(**wanted)).measured


def looked_at(keys, sockets):
    """Return the remote ends of the keys that are looked at, with so many sockets in all."""
    counts = dict.fromkeys(Counters.__struct_fields__, 0) | {"tcp_inuse": sockets}
    return [key.remote_address[:4][-1] for key in charging._wanted(keys, Counters(**counts))]


def test_the_tightest_keys_are_looked_at_up_to_a_limit(monkeypatch):
    """The first always; another only if it still fits."""
    keys = keys_of(
        read_of(
            table(40000, 40001, 40002, remote=HERE),
            table(40000, 40001, remote=THERE),
            table(40000, remote=ELSEWHERE),
        )
    )

    assert [1, 2, 3] == looked_at(keys, 6)
    monkeypatch.setattr(charging, "MOST_SOCKETS", 4)
    assert [1, 3] == looked_at(keys, 4)
    monkeypatch.setattr(charging, "MOST_SOCKETS", 2)
    assert [1] == looked_at(keys, 2)


def test_among_very_many_sockets_only_one_destination_is_looked_at(monkeypatch):
    """The kernel leaves the others out of its dump."""
    monkeypatch.setattr(charging, "MOST_SOCKETS", 10)
    keys = keys_of(
        read_of(
            table(40000, 40001, remote=HERE),
            table(40002, remote=HERE, local="192.0.2.2"),
            table(40000, remote=THERE),
        )
    )

    assert [1, 1] == looked_at(keys, 11)


def test_only_connections_are_looked_at():
    """UDP has no TIME_WAIT, and a key of bind(0) no connection of its own."""
    read = read_of(
        table(40000, state=TcpState.CLOSE, protocol=Protocol.UDP, remote=("0.0.0.0", 0)),
        table(40001, state=TcpState.TIME_WAIT, remaining_ms=(9,)),
    )

    assert [] == looked_at(keys_of(read, protocol=Protocol.UDP), 0)
    assert [] == looked_at(keys_of(read, operation=Operation.BIND0), 0)


def test_a_key_without_a_remote_is_charged_to_nobody():
    """Whose TIME_WAITs are in the way of bind(0) is told key by key of connects."""
    read = read_of(table(40001, state=TcpState.TIME_WAIT, remaining_ms=(9,)))

    found = Charging(OwnersKept()).charge(read, keys_of(read, operation=Operation.BIND0), NOW)

    assert {(Charge(None, 1, UNKNOWN),)} == set(found)


def test_without_sockets_nobody_is_charged():
    """Empty as a whole, as nobody looked."""
    read = snapshot(not_looked_at("groups"), settings())

    assert () == Charging(OwnersKept()).charge(read, (), NOW)


def test_a_namespace_that_nobody_asks_about_is_forgotten():
    """After ten minutes; so is one of another boot."""
    read = read_of()
    made = Charging(OwnersKept())
    made.charge(read, (), NOW)
    later = Instant(NOW.boot_id, NOW.uptime_s + 601, TAKEN_AT + datetime.timedelta(seconds=601))

    before = made._memories.copy()
    made.charge(read, (), later)

    assert before.keys() == made._memories.keys()
    assert before[4711] is not made._memories[4711]
    other = Instant("another", later.uptime_s + 1, later.at)
    made.charge(read, (), other)
    assert "another" == made._memories[4711].boot_id


def test_what_is_saved_is_what_is_remembered():
    """Saved, loaded and saved again it is the same."""
    made, again = Charging(OwnersKept()), Charging(OwnersKept())
    made.charge(read_of(), (), NOW)
    again.load(made.saved())

    assert made.saved() == again.saved()
