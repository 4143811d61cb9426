"""Who binds before it connects, by the parity of ports and by the word of the kernel."""

from __future__ import annotations

from math import comb

import msgspec
import pytest

from portroom.model.advice.findings.programs import (
    LEAST_PORTS,
    SHARE,
    bind_first,
    suspects,
)
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.scene import Probed
from portroom.model.facts.sockets import Kind, TcpState
from tests.unit.made_scenes import (
    NGINX,
    PERL,
    connected,
    held_by,
    scene,
    small,
    time_waits,
    without_rows,
)


def odd(sockets: int, first: int = 40001, **of):
    """Return connections on ports of the parity that the first port has not."""
    return connected(first, sockets, step=2, **of)


def even(sockets: int, first: int = 40000, **of):
    """Return connections on ports of the parity of the first port."""
    return connected(first, sockets, step=2, **of)


def seen(*tables, owner=PERL, **parts):
    """Return a scene in which one process holds all of these sockets."""
    return scene(held_by(small(*tables), *((of, owner) for of in tables)), **parts)


def test_odd_ports_alone_betray_a_bind():
    """Eight of eight odd while the even ones are free."""
    (one,) = bind_first(seen(odd(8)))

    assert "perl (pid 77): 8 of 8 local ports of its connections are odd" in one.evidence
    assert "8 of 100" in one.evidence
    assert ("warning", "no") == (one.severity, one.numbers["settled"])
    assert "portroom doctor --probe" == one.command
    assert "IP_BIND_ADDRESS_NO_PORT" in one.remedy


def test_seven_are_too_few():
    """One in 128 happens."""
    assert [] == list(bind_first(seen(odd(7))))


def test_even_ports_are_what_connect_takes():
    """However many they are."""
    assert [] == list(bind_first(seen(even(20))))


def test_both_parities_prove_nothing_by_themselves():
    """A program with IP_LOCAL_PORT_RANGE has them half and half."""
    both = seen(odd(10), even(10))

    assert [] == list(bind_first(both))
    assert [(PERL.pid, 4)] == [(one.owners[0].pid, len(one.ports)) for one in suspects(both)]


def test_a_single_stray_among_sixteen_is_allowed():
    """15 of 16 are nearly all, 14 of 15 are not."""
    assert list(bind_first(seen(odd(15), even(1))))
    assert [] == list(bind_first(seen(odd(14), even(1))))


def test_with_the_first_half_full_odd_ports_are_as_they_should_be():
    """connect() itself then takes the other parity."""
    full = even(40)

    assert [] == list(bind_first(seen(full, odd(10))))
    assert [] == list(bind_first(scene(held_by(small(full, odd(10)), (odd(10), PERL)))))


def test_time_waits_fill_a_half_too():
    """What ended a moment ago kept the even ports from the connects after it."""
    gone = time_waits(40000, 50, [30.0])

    assert [] == list(bind_first(scene(held_by(small(gone, odd(10)), (odd(10), PERL)))))


def test_a_first_half_that_listeners_take_is_full_as_well():
    """Ports that are out for everybody count."""
    bound = even(40, kind=Kind.CHILD, remote=("198.51.100.77", 1))

    assert [] == list(bind_first(scene(held_by(small(bound, odd(10)), (odd(10), PERL)))))


@pytest.mark.parametrize("kind", [Kind.NO_PORT, Kind.EXPLICIT, Kind.CHILD])
def test_ports_that_are_known_to_come_from_elsewhere_do_not_count(kind):
    """With the flag, by number, or from a listener."""
    assert [] == list(bind_first(seen(odd(20, kind=kind))))


def test_accepted_connections_share_one_port():
    """Fifty of one listener that is gone are one port, not fifty."""
    children = [connected(40001, 1, remote=("198.51.100.1", 1000 + n)) for n in range(50)]

    assert [] == list(bind_first(seen(*children)))


def test_only_who_surely_connected_out_counts_where_that_was_asked():
    """The kernel told that these were accepted."""
    read = held_by(small(odd(20)), (odd(20), PERL))
    passive = msgspec.structs.replace(read, groups=msgspec.structs.replace(read.groups, active={}))

    assert [] == list(bind_first(scene(passive)))


def test_each_program_is_judged_for_itself():
    """One binds first, the other does not."""
    mine, theirs = odd(10), even(10)
    found = list(bind_first(scene(held_by(small(mine, theirs), (mine, PERL), (theirs, NGINX)))))

    assert ["perl"] == [one.owners[0].command for one in found]


def test_workers_of_one_program_count_together():
    """Two processes with five odd ports each."""
    one, two = odd(5), odd(5, 40021)
    worker = msgspec.structs.replace(PERL, pid=78)
    (found,) = bind_first(scene(held_by(small(one, two), (one, PERL), (two, worker))))

    assert "perl (2 processes, pid 77 among them): 10 of 10" in found.evidence


def test_the_status_screen_names_it_by_key():
    """Without rows the owners of a whole key tell, if they are one program."""
    read = held_by(small(odd(10)), (odd(10), PERL))
    (one,) = bind_first(scene(without_rows(read)))

    assert 10 == one.numbers["ports"]


def test_the_parity_is_that_of_the_range():
    """From an odd first port on, even ports are the suspicious ones."""
    of = connected(40002, 10, step=2)
    read = held_by(small(of, ephemeral=PortRange(40001, 40100)), (of, PERL))
    (one,) = bind_first(scene(read))

    assert "are even" in one.evidence


def test_the_kernel_makes_it_sure():
    """A port that it refuses to everybody else proves the bind."""
    (one,) = bind_first(seen(odd(8), probed=Probed(blocked=PortSet.of([40001, 40003]))))

    assert "surely" in one.evidence
    assert ("yes", "") == (one.numbers["settled"], one.command)


def test_the_kernel_clears_a_program():
    """A port that it gives to somebody else was not bound."""
    assert [] == list(bind_first(seen(odd(8), probed=Probed(free=PortSet.of([40001, 40003])))))


def test_the_kernel_finds_one_that_mixes():
    """Ten of twenty odd, and refused: it binds first towards some destinations."""
    mixed = seen(odd(10), even(10), probed=Probed(blocked=PortSet.of([40001])))
    (one,) = bind_first(mixed)

    assert "10 of 20 local ports" in one.evidence


def test_suspects_are_asked_about_ports_that_nobody_else_holds():
    """A listener on the port would be the reason of a refusal."""
    taken = connected(40001, 2, step=2, kind=Kind.LISTENER, remote=("0.0.0.0", 0))
    taken.state = TcpState.LISTEN
    (one,) = suspects(scene(held_by(small(taken, odd(12)), (odd(12), PERL))))

    assert (40005, 40007, 40009, 40011) == one.ports


def test_the_weakest_case_is_one_in_256():
    """Were both parities equally likely, this much of one would be that rare at most."""

    def chance(sockets: int) -> float:
        """Return how likely nearly all of so many ports are odd by chance."""
        least = next(odd for odd in range(sockets + 1) if odd >= SHARE * sockets)
        return sum(comb(sockets, odd) for odd in range(least, sockets + 1)) / 2**sockets

    chances = [chance(sockets) for sockets in range(LEAST_PORTS, 200)]

    assert 1 / 256 == max(chances) == chances[0]
