"""The tightest keys: asking for a few gives the first of all."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.snapshot import Groups
from portroom.model.facts.sockets import Family, Kind
from portroom.model.laws.buckets import buckets
from portroom.model.laws.headroom import KeysWanted, find_keys
from portroom.model.laws.tightest import count_keys, tightest
from tests.unit.made_groups import (
    ANY_FEATURES,
    ANY_SETTINGS,
    FORGETS,
    any_groups,
    group_key,
    listener,
    settings,
    snapshot,
    table,
)


@given(any_groups(), ANY_SETTINGS, ANY_FEATURES, some.integers(1, 6))
def test_a_limit_gives_the_first_of_all(groups, of, features, limit):
    """tightest(limit=k) is the first k of tightest(limit=0)."""
    counts = count_keys(groups)
    shared = buckets(groups, of, features)
    every = tightest(counts, groups, shared, of, features, 0)

    assert every[:limit] == tightest(counts, groups, shared, of, features, limit)
    assert sum(map(len, counts.values())) == len(every)


@given(
    some.lists(
        some.tuples(some.integers(0, 40), some.sets(some.integers(40000, 40009), min_size=1)),
        min_size=1,
        max_size=30,
        unique_by=lambda entry: entry[0],
    ),
    some.integers(1, 12),
)
def test_many_destinations_are_cut_where_all_are_cut(destinations, limit):
    """Also where many keys hold equally many ports, and the limit falls among them."""
    tables = tuple(
        table(*ports, remote=(f"198.51.100.{number}", 443)) for number, ports in destinations
    )
    taken = snapshot(Groups((*tables, listener(40004)), ()), settings())
    every = find_keys(taken, KeysWanted()).measured
    few = find_keys(taken, KeysWanted(limit=limit))

    assert every[:limit] == few.measured
    assert len(every) == few.total
    assert sorted(-one.figures.held_ports for one in every) == [
        -one.figures.held_ports for one in every
    ]


@given(any_groups(), ANY_SETTINGS, ANY_FEATURES, some.integers(1, 6))
def test_a_limit_over_all_operations(groups, of, features, limit):
    """find_keys cuts TCP and UDP together, the tightest first."""
    taken = snapshot(groups, of, features)
    every = find_keys(taken, KeysWanted())
    few = find_keys(taken, KeysWanted(limit=limit))

    assert every.measured[:limit] == few.measured
    assert every.total == few.total == len(every.measured)


def test_keys_are_counted_by_family_and_without_listeners():
    """Sockets that listen are no key; those bound to a device belong to the plain one."""
    groups = Groups(
        (
            table(40000, 40001),
            table(40002, device=3),
            table(40000, local="2001:db8::1", remote=("2001:db8::2", 1)),
            listener(9000),
        ),
        (),
    )

    assert {
        Family.IPV4: Counter({group_key(): 3}),
        Family.IPV6: Counter({group_key("2001:db8::1", ("2001:db8::2", 1)): 1}),
    } == count_keys(groups)


@pytest.mark.parametrize("limit", [0, 1])
def test_more_sockets_without_more_ports_are_not_tighter(limit):
    """Sockets bound to devices count as sockets, and hold nothing of the plain key."""
    busy = [table(40000, kind=Kind.NO_PORT, device=number) for number in range(1, 5)]
    plain = table(40005, 40006, kind=Kind.NO_PORT, remote=("198.51.100.2", 443))
    found = find_keys(
        snapshot(Groups((*busy, plain), ()), settings(), FORGETS), KeysWanted(limit=limit)
    )

    assert [2, 0][: limit or 2] == [one.figures.held_ports for one in found.measured]
