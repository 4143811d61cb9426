"""Redacting: every count stays, every row stays in its place, no name is left."""

import re
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.codec import encode, encode_json
from portroom.model.facts.snapshot import (
    Gap,
    Groups,
    KeyOwners,
    Owners,
    Route,
    Rows,
)
from portroom.model.facts.sockets import (
    Family,
    Operation,
    Owner,
    Protocol,
    TcpState,
    address_text,
    is_loopback,
    is_wildcard,
    packed_address,
)
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys
from portroom.model.laws.redact import _Names, redact
from portroom.model.laws.summary import bound_local_ports, sockets_by_state
from tests.unit.made_groups import (
    ANY_FEATURES,
    ANY_SETTINGS,
    any_groups,
    group_key,
    inbound,
    listener,
    settings,
    snapshot,
    table,
)

SECRETS = (
    "203.0.113.7",
    "198.51.100.77",
    "8.8.4.4",
    "2001:db8:5ec:7e7::1",
    "fe80::5ec:1",
    "web-1.example",
    "6f1ed002",
    "shop",
    "secret-worker",
    "billing.service",
    "0123456789ab",
    "alice",
    "4026531840",
    "4711",
    "31337",
    "77001",
    "1000042",
    "5550001",
)
OWNER = Owner(31337, 77001, "secret-worker", 1000042, "billing.service", "0123456789ab", 2)


def told():
    """Return a Snapshot that tells all of SECRETS."""
    groups = Groups(
        (
            table(40000, 40001, local="203.0.113.7", remote=("198.51.100.77", 443)),
            table(40002, local="203.0.113.7", remote=("8.8.4.4", 53)),
            table(40003, local="2001:db8:5ec:7e7::1", remote=("fe80::5ec:1", 443)),
            table(40004, local="127.0.0.1", remote=("127.0.0.1", 9000)),
            listener(9000),
        ),
        (inbound(9000, 7, "203.0.113.7"),),
        active={(2, group_key("203.0.113.7", ("198.51.100.77", 443))): frozenset({40000})},
    )
    key = group_key("203.0.113.7", ("198.51.100.77", 443))
    return msgspec.structs.replace(
        snapshot(groups, settings()),
        rows=Rows(
            [Protocol.TCP],
            [Family.IPV4],
            [TcpState.ESTABLISHED],
            ["203.0.113.7"],
            [40000],
            ["198.51.100.77"],
            [443],
            [11],
            [12],
            [1000042],
            [5550001],
            [0],
        ),
        owners=Owners(
            (KeyOwners(Protocol.TCP, Family.IPV4, key, (OWNER,), 1),), {5550001: (OWNER,)}
        ),
        routes=(Route("198.51.100.77", "203.0.113.7", 2),),
        users={1000042: "alice"},
        gaps=(Gap("route", "no route to 8.8.4.4", ("keys",)), Gap("owners", "unread", ("keys",))),
    )


def shown(taken):
    """Return all that a file of a Snapshot shows, both as msgpack and as JSON."""
    line, _, parts = encode(taken).partition(b"\n")
    return line + zlib.decompress(parts) + encode_json(taken)


def numbers(taken):
    """Return the figures of every key, in the order of the answers."""
    wanted = KeysWanted(), KeysWanted(operation=Operation.BIND0), KeysWanted(Protocol.UDP)
    return [
        (key.held_ports, key.free_ports, key.free_ports_max, key.states, key.remote_port)
        for one in wanted
        for key in map(as_key, find_keys(taken, one).measured)
    ]


@given(any_groups(), ANY_SETTINGS, ANY_FEATURES)
def test_every_number_stays_in_its_row(groups, of, features):
    """The keys of a redacted Snapshot have the same figures in the same order."""
    taken = snapshot(groups, of, features)

    assert numbers(taken) == numbers(redact(taken))


def test_sessions_by_state_stay():
    """Counting sockets gives the same."""
    before, after = told().groups, redact(told()).groups

    assert sockets_by_state(before, Protocol.TCP) == sockets_by_state(after, Protocol.TCP)
    assert bound_local_ports(before) == bound_local_ports(after)


@pytest.mark.parametrize("secret", SECRETS)
def test_nothing_that_tells_whose_it_is_is_left(secret):
    """No address, name or id is in the file, nor a number as its bytes."""
    before, after = shown(told()), shown(redact(told()))
    number = (
        rb"(?<!\d)%s(?!\d)" % secret.encode() if secret.isdecimal() else re.escape(secret.encode())
    )

    assert re.search(number, before)
    assert not re.search(number, after)
    if secret.isdecimal():
        assert msgspec.msgpack.encode(int(secret)) not in after


def test_ports_times_and_loopback_stay():
    """What the rules depend on is not replaced."""
    after = redact(told())
    kept = {port for one in after.groups.tables for ports in one.ports.values() for port in ports}
    text = encode_json(after).decode()

    assert {40000, 40001, 40002, 40003, 40004, 9000} == kept
    assert '"127.0.0.1"' in text
    assert '"0.0.0.0"' in text
    assert told().taken_at == after.taken_at


def test_one_thing_gets_one_replacement_everywhere():
    """Rows, groups, routes and owners still belong together."""
    after = redact(told())
    (key,) = (key for one in after.groups.tables[:1] for key in one.ports)
    local = address_text(Family.IPV4, key[2:18])
    remote = address_text(Family.IPV4, key[18:34])
    (owner,) = after.owners.by_key
    (by_inode,) = after.owners.by_inode

    assert [local, remote] == [after.rows.local_address[0], after.rows.remote_address[0]]
    assert Route(remote, local, 2) == after.routes[0]
    assert key == owner.key
    assert {(2, key): frozenset({40000})} == after.groups.active
    assert by_inode == after.rows.inode[0]
    assert owner.owners[0].uid == after.rows.uid[0]
    assert {owner.owners[0].uid: f"user-{owner.owners[0].uid}"} == after.users
    assert 2 == owner.owners[0].sockets


def test_two_processes_stay_two():
    """Other pids, commands and units get other replacements; root stays root."""
    others = OWNER, msgspec.structs.replace(OWNER, pid=31338, command="other", uid=0, unit=None)
    taken = msgspec.structs.replace(told(), owners=Owners((), {5550001: others}))
    first, second = redact(taken).owners.by_inode[1]

    assert first.pid != second.pid
    assert first.command != second.command
    assert first.container == second.container
    assert (0, None) == (second.uid, second.unit)


def test_a_gap_about_a_route_loses_its_words():
    """It names an address, as a part of the Snapshot too; other Gaps do not."""
    taken = msgspec.structs.replace(told(), routes=Gap("route", "no route to 8.8.4.4", ("keys",)))
    after = redact(taken)

    assert [Gap("route", "redacted", ("keys",)), told().gaps[1]] == list(after.gaps)
    assert Gap("route", "redacted", ("keys",)) == after.routes


ADDRESSES = some.sets(some.ip_addresses(v=4).map(str) | some.ip_addresses(v=6).map(str), max_size=9)


@given(ADDRESSES)
def test_addresses_keep_their_order(texts):
    """Within a family, loopback and wildcards among them, before and after sort alike."""
    texts |= {"127.0.0.1", "0.0.0.0", "::1", "::", "9.9.9.9", "192.0.2.1"}
    places = sorted(set(map(packed_address, texts)))
    routes = tuple(Route(address_text(*place), address_text(*place), 1) for place in places)
    names = _Names(msgspec.structs.replace(told(), routes=routes))
    after = [(family, names.packed(family, packed)) for family, packed in places]

    assert sorted(after) == after
    assert len(set(after)) == len(places)
    for (family, old), (_, new) in zip(places, after, strict=True):
        assert is_loopback(family, old) == is_loopback(family, new)
        assert is_wildcard(old) == is_wildcard(new)


def test_redacting_twice_changes_nothing_more():
    """A redacted Snapshot that is redacted again tells the same."""
    once = redact(told())

    assert encode(once) == encode(redact(once))
