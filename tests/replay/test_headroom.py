"""The answers for chosen keys are the same on every kernel, and right on each.

Every kernel chose its ports at random, so which port is shared with which other
socket differs, and with it how many ports are in doubt. What must not differ is
what is surely held, and the truth, which lies between both bounds on each.
"""

import pytest

from portroom.model.facts.codec import decode, encode
from portroom.model.facts.sockets import Endpoint, Operation, Protocol
from portroom.model.laws.headroom import KeysWanted, as_key, find_keys
from portroom.model.laws.redact import redact
from portroom.model.laws.unseen import unseen_sockets
from tests.replay.recordings import KERNELS, plain, recording
from tests.replay.snapshots import recorded_groups, snapshot, text_groups

ELIGIBLE = frozenset(range(40000, 40050)) | frozenset(range(40060, 40100))

CHOSEN = {
    ("127.0.0.1", "127.0.0.1", 9002): {"ESTABLISHED": 1},
    ("192.0.2.1", "192.0.2.2", 9000): {"ESTABLISHED": 1, "TIME_WAIT": 1},
    ("192.0.2.2", "192.0.2.2", 9009): {"SYN_SENT": 1},
    ("198.51.100.1", "198.51.100.2", 80): {"SYN_SENT": 1},
    ("2001:db8::2", "2001:db8::2", 9002): {"ESTABLISHED": 1, "TIME_WAIT": 1},
    ("::1", "::1", 9004): {"ESTABLISHED": 1},
}
"""TCP connect keys: local address and remote endpoint, and the states of each."""

NEW = KeysWanted(Protocol.TCP, remotes=(Endpoint("203.0.113.9", 443),), from_address="198.51.100.1")
"""A destination without a connection."""

BLOCKED = 2
"""A listener and a bound socket in the range, where the kernel lists both."""


def connect_keys(taken):
    """Return the TCP connect keys of a Snapshot by local address and remote end."""
    found = map(as_key, find_keys(taken, KeysWanted(Protocol.TCP)).measured)
    return {(key.local_address, key.remote_address, key.remote_port): key for key in found}


def truly_free(sockets, place):
    """
    Return how many ports an automatic connect() has, from the manifest.

    Ports that came with connect() are shared by 4-tuple; all others are out.
    None of the TIME_WAIT entries was a second old.
    """
    tcp = [one for one in sockets if one["protocol"] == "tcp"]
    out = {one["local"]["port"] for one in tcp if "connect() (automatic" not in one["port_from"]}
    own = {
        one["local"]["port"]
        for one in tcp
        if one["remote"] and ends(one) == place and not one.get("bound_device")
    }
    return len(ELIGIBLE - out - own)


def ends(one):
    """Return local address, remote address and remote port of a socket."""
    local, remote = one["local"], one["remote"]
    return plain(local["address"]), plain(remote["address"]), remote["port"]


def visible(recorded):
    """Return the sockets that /proc/net shows."""
    return [one for one in recorded.manifest if one["state"] != "BOUND_INACTIVE"]


def hides_bound(recorded):
    """Say whether this kernel lists no socket that is only bound."""
    return not recorded.features.bound_inactive_rows


def test_the_truth_lies_between_both_bounds_for_every_key(recorded):
    """What the manifest gives is at least free_ports and at most free_ports_max."""
    found = connect_keys(snapshot(recorded, recorded_groups(recorded)))
    truth = {place: truly_free(recorded.listed(), place) for place in found}
    wrong = {
        place: (key.free_ports, truth[place], key.free_ports_max)
        for place, key in found.items()
        if not key.free_ports <= truth[place] <= key.free_ports_max
    }

    assert set(CHOSEN) < set(found)
    assert {} == wrong


@pytest.mark.parametrize("place", CHOSEN)
def test_a_chosen_key_is_the_same_on_every_kernel(place):
    """
    Eligible ports, states and what is surely held are equal, and one span holds
    on all kernels; where bound sockets are hidden one port less is surely held.
    """
    keys = {
        kernel: connect_keys(snapshot(one, recorded_groups(one)))[place]
        for kernel, one in ((kernel, recording(kernel)) for kernel in KERNELS)
    }
    truth = {truly_free(recording(kernel).manifest, place) for kernel in KERNELS}
    held = BLOCKED + sum(CHOSEN[place].values())

    assert {
        kernel: (len(ELIGIBLE), CHOSEN[place], held - hides_bound(recording(kernel)), False)
        for kernel in KERNELS
    } == {
        kernel: (key.eligible_ports, key.states, key.held_ports, key.exhausted)
        for kernel, key in keys.items()
    }
    assert {len(ELIGIBLE) - held - 2} == truth
    assert max(key.free_ports for key in keys.values()) <= min(truth)
    assert max(truth) <= min(key.free_ports_max for key in keys.values())


def test_kernels_that_forget_leave_no_more_in_doubt_than_sticky_ones():
    """
    On a sticky kernel each port with an owner is in doubt; on one that forgets
    only those whose owner may have asked for any port with bind().
    """
    place = "198.51.100.1", "198.51.100.2", 80
    for kernel in KERNELS:
        recorded = recording(kernel)
        taken = snapshot(recorded, recorded_groups(recorded))
        key = connect_keys(taken)[place]
        out = [
            one
            for one in recorded.listed()
            if one["protocol"] == "tcp" and "connect()" in one["port_from"]
        ]
        held = {one["local"]["port"] for one in out if ends(one) == place}
        owned = len(({one["local"]["port"] for one in out} & ELIGIBLE) - held)

        free = key.eligible_ports - key.held_ports - owned
        most = owned + min(free, unseen_sockets(taken))

        assert key.doubtful_ports <= most
        assert key.doubtful_ports == most or recorded.features.bucket_forgets


def test_a_new_destination_has_all_that_is_not_blocked(recorded):
    """Without a connection nothing is held but what is blocked for everybody."""
    taken = snapshot(recorded, recorded_groups(recorded))
    (key,) = map(as_key, find_keys(taken, NEW).measured)

    assert (BLOCKED - hides_bound(recorded), {}) == (key.held_ports, key.states)
    assert key.free_ports <= len(ELIGIBLE) - BLOCKED - 2 <= key.free_ports_max


def test_udp_keys_are_the_same_on_every_kernel():
    """UDP has no sticky ports and little in doubt: each key is equal on all."""
    answers = [
        sorted(map(as_key, find_keys(taken, KeysWanted(Protocol.UDP)).measured), key=str)
        for taken in (snapshot(one, recorded_groups(one)) for one in map(recording, KERNELS))
    ]

    assert [answers[0]] * len(KERNELS) == answers
    assert {
        ("0.0.0.0", 3, 86, 87),
        ("127.0.0.1", 3, 87, 87),
        ("2001:db8::2", 1, 89, 89),
        ("::", 4, 86, 86),
    } == {
        (key.local_address, key.held_ports, key.free_ports, key.free_ports_max)
        for key in answers[0]
    }


def test_bind0_on_one_address_is_the_same_on_every_kernel():
    """
    bind(::1, 0) is stopped by the one connection from ::1, sticky or not.

    Where bound sockets are hidden, as many more are in doubt as the counters leave open.
    """
    wanted = KeysWanted(Protocol.TCP, Operation.BIND0, from_address="::1")
    taken = [snapshot(one, recorded_groups(one)) for one in map(recording, KERNELS)]
    answers = [
        (key.held_ports, key.doubtful_ports, key.free_ports_max)
        for one in taken
        for key in map(as_key, find_keys(one, wanted).measured)
    ]

    assert [(1, unseen_sockets(one), len(ELIGIBLE) - 1) for one in taken] == answers
    assert {0} < {unseen_sockets(one) for one in taken}


def test_texts_give_the_same_keys(recorded, tmp_path):
    """
    Degraded to /proc/net the keys and states are those of sock_diag, and the
    bounds hold but for what these texts do not show: bound sockets and devices.
    """
    full = connect_keys(snapshot(recorded, recorded_groups(recorded)))
    texts = connect_keys(snapshot(recorded, text_groups(recorded, tmp_path)))
    truth = {place: truly_free(visible(recorded), place) for place in CHOSEN}
    wrong = [
        place
        for place, free in truth.items()
        if not texts[place].free_ports <= free <= texts[place].free_ports_max
    ]

    assert set(full) == set(texts)
    assert CHOSEN == {place: texts[place].states for place in CHOSEN}
    assert [] == wrong


def test_a_saved_snapshot_gives_the_same_answers(recorded):
    """Saved, read back and saved again: the same keys in the same order, the same bytes."""
    taken = snapshot(recorded, recorded_groups(recorded))
    content = encode(taken)
    again = decode(content, "a file")

    for wanted in (KeysWanted(), KeysWanted(operation=Operation.BIND0)):
        assert find_keys(taken, wanted) == find_keys(again, wanted)
    assert content == encode(again)


def test_a_redacted_snapshot_gives_the_same_numbers(recorded):
    """Redacting changes addresses and no number, and no row moves."""
    taken = snapshot(recorded, recorded_groups(recorded))

    for wanted in (KeysWanted(), KeysWanted(operation=Operation.BIND0)):
        before, after = find_keys(taken, wanted), find_keys(redact(taken), wanted)

        assert [(one.figures, one.states) for one in before.measured] == [
            (one.figures, one.states) for one in after.measured
        ]
