"""Causes are looked for at a bounded cost, and hold on for a bounded time."""

import pytest

from portroom.api import verdicts
from portroom.api.verdicts import ALLOWANCE_S, KEPT_S, Allowance, Reading, Verdict, Verdicts
from portroom.model.advice.attribution import Attempt, Evidence
from portroom.model.facts.snapshot import Groups
from portroom.model.facts.sockets import Endpoint
from tests.unit.made_failures import ENDED, process
from tests.unit.made_groups import HERE, REMOTE, settings, snapshot, table

FULL = Evidence(snapshot(Groups((table(*range(40000, 40010)),), ()), settings()))
EMPTY = Evidence(snapshot(Groups((), ()), settings()))

SEARCHED = Attempt(
    "connect", 99, 2, "tcp", searched=True, local=Endpoint(HERE, 0), remote=Endpoint(*REMOTE)
)


class World:
    """A clock that stands, and sockets that are read in no time."""

    def __init__(self):
        self.now_s = 1000.0
        self.cost_s = 0.0
        self.evidence = FULL
        self.readings = []

    def monotonic(self):
        """Return the time."""
        return self.now_s

    def read(self, of, wanted):
        """Return the sockets, which takes its time."""
        self.readings.append((of.netns_inode, wanted.all_ports))
        self.now_s += self.cost_s
        return self.evidence


@pytest.fixture
def world(monkeypatch):
    """Return the world of a test: its clock and its sockets."""
    made = World()
    monkeypatch.setattr(verdicts.time, "monotonic", made.monotonic)
    monkeypatch.setattr(verdicts, "_read", made.read)
    return made


@pytest.fixture
def found(world):  # noqa: ARG001 - it is that of this world
    """Return verdicts in that world."""
    return Verdicts(lambda: None)


def test_a_thousand_failures_take_one_reading(world, found):
    """Of whatever process of a namespace, to whatever remote."""
    causes = [found.cause(SEARCHED, process(pid=pid)) for pid in range(1000)]
    elsewhere = SEARCHED._replace(remote=Endpoint("198.51.100.9", 443))

    assert ["key_full"] * 1000 == causes
    assert "ports_blocked" == found.cause(elsewhere, process())
    assert 1 == len(world.readings)


def test_each_namespace_is_read_of_its_own(world, found):
    """And that of a process that had ended is taken to be the own one."""
    for inode in (1, 2):
        found.cause(SEARCHED, process(netns_inode=inode))
    found.cause(SEARCHED, ENDED)

    assert [1, 2, None] == [inode for inode, _ in world.readings]


@pytest.mark.parametrize(("cost_s", "again_s"), [(0.0, 1.0), (0.2, 2.0)])
def test_it_is_read_again_the_more_rarely_the_dearer_it_is(world, found, cost_s, again_s):
    """After a second, or ten times what it takes."""
    world.cost_s = cost_s
    found.cause(SEARCHED, process())
    world.now_s += again_s - 0.1
    found.cause(SEARCHED, process())
    before = len(world.readings)
    world.now_s += 0.2
    found.cause(SEARCHED, process())

    assert (1, 2) == (before, len(world.readings))


def test_a_bind_to_a_port_needs_all_ports(world, found):
    """What was read for connects does not do; what was read for it does for all."""
    bind = Attempt("bind", 98, 2, "tcp", local=Endpoint(HERE, 40003))
    found.cause(SEARCHED, process())

    assert "port_held_by_outgoing" == found.cause(bind, process())
    assert "key_full" == found.cause(SEARCHED, process())
    assert [False, True] == [all_ports for _, all_ports in world.readings]


def test_a_cause_holds_on_while_nothing_else_is_seen(world, found):
    """The connections may be gone a moment later; after a minute they are no reason any more."""
    first = found.cause(SEARCHED, process())
    world.evidence = EMPTY
    world.now_s += 2.0
    soon = found.cause(SEARCHED, process())
    world.now_s += KEPT_S
    late = found.cause(SEARCHED, process())

    assert ("key_full", "key_full", None) == (first, soon, late)


def test_dear_readings_end_at_the_allowance(world, found):
    """Many namespaces that fail at once: some are not judged, and nothing falls behind."""
    world.cost_s = 0.5
    causes = [found.cause(SEARCHED, process(netns_inode=inode)) for inode in range(100)]

    judged = causes.count("key_full")
    assert ALLOWANCE_S / 0.5 <= judged <= 2 * ALLOWANCE_S / 0.5
    assert {"key_full", None} == set(causes)
    assert judged == len(world.readings)


def test_what_cannot_be_read_is_counted(world, found):
    """The cause is not known, and it is not tried again at once."""
    world.evidence = None

    assert None is found.cause(SEARCHED, process())
    assert None is found.cause(SEARCHED, process())
    assert (1, 1) == (found.unreadable, len(world.readings))


def test_what_is_kept_has_a_bound(world, found, monkeypatch):
    """Namespaces and remotes that come and go for days."""
    monkeypatch.setattr(verdicts, "VERDICTS_KEPT", 50)
    for number in range(200):
        world.now_s += 1.0
        remote = Endpoint(f"198.51.100.{number}", 443)
        found.cause(SEARCHED._replace(remote=remote), process(netns_inode=number))

    assert 50 == len(found._verdicts)
    assert verdicts.NAMESPACES_KEPT == len(found._readings)


def test_events_alone_need_no_reading(world, found):
    """A full unix backlog, say."""
    assert "unix_backlog_full" == found.cause(Attempt("connect", 11, 1), process())
    assert [] == world.readings


def test_an_allowance_grows_up_to_its_bound():
    """And may be overdrawn once."""
    allowance = Allowance(0.0)
    allowance.spend(ALLOWANCE_S + 1.0)

    assert [False, False, True] == [allowance.has_any(now_s) for now_s in (0.0, 3.9, 4.1)]
    assert allowance.has_any(1e6)
    assert ALLOWANCE_S == allowance._left_s


def test_failures_are_taken_in_while_sockets_are_read(monkeypatch):
    """However long that takes, somebody goes on."""
    looks = []

    def slow(*_):
        """Read until somebody looked three times."""
        while len(looks) < 3:
            pass
        return FULL

    monkeypatch.setattr(verdicts, "_read", slow)
    monkeypatch.setattr(verdicts, "LOOK_S", 0.001)

    assert "key_full" == Verdicts(lambda: looks.append(1)).cause(SEARCHED, process())
    assert Reading(0.0, 0.0, FULL, all_ports=False).does(SEARCHED, 0.5)
    assert Verdict("key_full", 0.0, 0.0).cause
