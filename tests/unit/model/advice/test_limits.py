"""The limit that bites next comes first, and only what was seen is told."""

from portroom.model.advice.limits import limits
from portroom.model.facts.ports import PortRange
from portroom.model.facts.sockets import TcpState
from portroom.model.facts.surroundings import FilterLine, OpenFiles, Surroundings
from tests.unit.made_change import NGINX, drafted, host
from tests.unit.made_groups import table

FULL = Surroundings(
    open_files=(OpenFiles(NGINX, 100, 65_536), OpenFiles(NGINX, 900, 1_024)),
    conntrack_used=5_000,
    conntrack_max=5_100,
    tcp_memory_pages=10,
    tcp_memory_max_pages=20,
    filters=(FilterLine("/etc/nftables.conf", 12, "tcp sport 32768-60999 accept"),),
)
WAITING = host(table(40001, state=TcpState.TIME_WAIT), table(40002), tcp_max_tw_buckets=131_072)


def test_the_least_room_comes_first_and_what_has_none_to_count_last():
    """Of open files the process that is nearest to its limit is told."""
    found = limits(drafted("range=15000-64001", WAITING, FULL))

    assert [
        ("nf_conntrack_max", 100),
        ("open_files", 124),
        ("tcp_max_tw_buckets", 131_071),
        ("tcp_mem", None),
        ("filter", None),
    ] == [(one.name, one.room) for one in found]
    assert "nginx (pid 4711) has 900 of 1,024 files open" in found[1].sentence


def test_what_was_not_seen_is_not_told():
    """Nothing is guessed of a host of which nothing is known."""
    assert () == limits(drafted("range=15000-64001", host()))


def test_a_change_without_more_ports_has_no_next_limit():
    """A narrower range, or another setting, brings none nearer."""
    assert () == limits(drafted("range=40000-50001", host(), FULL))
    assert () == limits(drafted("tw_reuse=1", host(), FULL))


def test_a_limit_that_is_passed_leaves_no_room():
    """Room is never negative."""
    around = Surroundings(open_files=(OpenFiles(NGINX, 20, 10),))

    assert [0] == [one.room for one in limits(drafted("range=15000-64001", host(), around))]


def test_filters_matter_only_beyond_the_default_range():
    """A range that grows inside 32768-60999 passes them."""
    read = host(ephemeral=PortRange(40000, 50001))
    names = [one.name for one in limits(drafted("range=32768-60999", read, FULL))]

    assert "filter" not in names
