"""Who had a connection, remembered by the kernel's number of it."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.sockets import Owner
from portroom.model.laws import owner_memory
from portroom.model.laws.owner_memory import (
    NOBODY,
    People,
    Sockets,
    nothing,
    owner_of,
    remember,
    unowned_inodes,
)

WEB = Owner(7, 100, "web", 33, "web.service", None, 5)


def sockets(*rows: tuple[int, int, int]) -> Sockets:
    """Return sockets by port, cookie and inode."""
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return Sockets(array("H", columns[0]), array("Q", columns[1]), array("I", columns[2]))


def known_of(*rounds: tuple[Sockets, dict[int, int]]) -> list[tuple[int, int]]:
    """Return ports and owners after some rounds of looking."""
    known = nothing()
    for seen, found in rounds:
        known = remember(known, seen, found)
    return list(zip(known.ports, known.owners, strict=True))


def test_a_connection_is_known_again_after_it_ended():
    """The same cookie without an inode is the connection that was alive."""
    alive, ended = sockets((40_000, 8, 99)), sockets((40_000, 8, 0))

    assert [(40_000, 1)] == known_of((alive, {99: 1}), (ended, {}), (ended, {}))


def test_another_connection_on_the_same_port_is_another():
    """Its cookie differs: nobody saw who had it."""
    alive, other = sockets((40_000, 8, 99)), sockets((40_000, 9, 0))

    assert [] == known_of((alive, {99: 1}), (other, {}))


def test_what_is_gone_is_forgotten():
    """And does not come back with its port."""
    alive, ended = sockets((40_000, 8, 99)), sockets((40_000, 8, 0))

    assert [] == known_of((alive, {99: 1}), (sockets(), {}), (ended, {}))


def test_an_owner_that_changes_is_the_new_one():
    """A socket may be handed to another process while it lives."""
    alive = sockets((40_000, 8, 99))

    assert [(40_000, 2)] == known_of((alive, {99: 1}), (alive, {99: 2}))


def test_without_cookies_only_what_is_alive_is_known():
    """Where sock_diag is missing the cookie is 0, and 0 is nobody's."""
    alive, ended = sockets((40_000, 0, 99)), sockets((40_000, 0, 0), (40_001, 0, 0))

    assert [(40_000, 1)] == known_of((alive, {99: 1}))
    assert [] == known_of((alive, {99: 1}), (ended, {}))


def test_only_unknown_connections_are_looked_for():
    """Neither those known already, nor ended ones, which have no inode."""
    known = remember(nothing(), sockets((40_000, 8, 99)), {99: 1})

    assert {98} == unowned_inodes(known, sockets((40_000, 8, 99), (40_001, 9, 98), (40_002, 5, 0)))


@given(some.lists(some.tuples(some.integers(1, 9), some.integers(0, 9)), max_size=20))
def test_nobody_is_charged_with_a_connection_that_was_not_seen(rows):
    """Whatever is there: an owner comes from its inode now, or its cookie before."""
    before = remember(nothing(), sockets((1, 3, 33), (2, 4, 44)), {33: 1, 44: 2})
    seen = sockets(*((port, port % 6, inode) for port, inode in rows)) if rows else sockets()

    after = remember(before, seen, {5: 7})

    for cookie, owner in zip(after.cookies, after.owners, strict=True):
        assert owner == 7 or (cookie, owner) in {(3, 1), (4, 2)}


def test_a_process_has_one_number():
    """By pid and start time: the same pid later is another process."""
    people = People()
    later = Owner(7, 900, "web", 33, "web.service", None)

    assert people.number(WEB) == people.number(WEB) != people.number(later)
    assert 0 == people.all()[people.number(WEB)].sockets


def test_a_number_is_free_again_once_it_is_forgotten(monkeypatch):
    """Processes come and go for ever; their numbers do not run out."""
    monkeypatch.setattr(owner_memory, "MOST_OWNERS", 3)
    people = People()

    for pid in range(1, 50):
        number = people.number(Owner(pid, 1, "curl", 0, None, None))
        assert 1 <= number <= 3
        people = people.only([number])


def test_too_many_processes_are_known_by_what_they_are(monkeypatch):
    """One more of the same program is taken for one of them, one of another for nobody."""
    monkeypatch.setattr(owner_memory, "MOST_OWNERS", 1)
    people = People()
    number = people.number(WEB)

    assert number == people.number(Owner(8, 101, "web", 33, "web.service", None))
    assert NOBODY == people.number(Owner(9, 102, "cron", 0, "cron.service", None))


def test_of_several_who_share_a_socket_the_first_has_it():
    """A child inherits; its parent opened it."""
    child = Owner(3, 200, "worker", 0, None, None)

    assert WEB == owner_of((child, WEB))
