"""
TIME_WAITs are charged to the process that left them, seen while they were alive.

Over a veth pair, as loopback gives TIME_WAITs back after a second.
"""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from portroom.api.charging import Charging
from portroom.kernel.sampling import read_instant
from portroom.kernel.snapshot import Wanted, take
from portroom.model.facts.config import OwnersKept
from portroom.model.facts.sample import INFERRED, SEEN, UNKNOWN
from portroom.model.laws.headroom import KeysWanted, find_keys
from tests.kernel.bystanders import drop_rights
from tests.kernel.clients import client
from tests.kernel.harness import Neighbour, wait_until
from tests.kernel.sockets import accept_all, close, in_state, listener

PORT = 9000
TIME_WAIT = 6

OFTEN, ONCE = OwnersKept(most_work_ratio=0.5), OwnersKept(most_work_ratio=1e-6)
"""Looking again after twice the time that it took, and not again within the test."""


class Shop:
    """A neighbour that serves, and a charging that looks at who comes to it."""

    def __init__(self, config: OwnersKept = OFTEN, address: str = "") -> None:
        self.neighbour = Neighbour()
        with self.neighbour.inside():
            self._server = listener(address or self.neighbour.there, PORT)
        self.remote = (self.neighbour.there, PORT)
        self._accepted: list = []
        self.charging = Charging(config)
        self._looked = read_instant()

    def accept(self, count: int) -> None:
        """Take so many connections."""
        self._accepted += accept_all(self._server, count)

    def hang_up(self) -> None:
        """Let every connection whose client closed end in TIME_WAIT on its side."""
        before = in_state(TIME_WAIT)
        count = len(self._accepted)
        for one in self._accepted:
            one.recv(1)
        close(self._accepted)
        self._accepted.clear()
        wait_until(lambda: in_state(TIME_WAIT) >= before + count, "they are in TIME_WAIT")

    def look(self):
        """Return charges in short, by a reading that may look at sockets one by one."""
        return [(one.owner and one.owner.pid, one.sockets, one.certainty) for one in self.charges()]

    def charges(self):
        """Return the charges of the key."""
        now = read_instant()
        read = take(Wanted(groups=True, times=True))
        keys = find_keys(read, KeysWanted(limit=10)).measured
        found = self.charging.charge(read, keys, now)
        return [charge for one in found for charge in one]

    def look_later(self):
        """Return charges once it is time to look again."""
        due_s = max((one.due_s for one in self.charging._memories.values()), default=0.0)
        wait_until(
            lambda: time.clock_gettime(time.CLOCK_BOOTTIME) >= due_s, "it is time to look again"
        )
        return self.look()


def ended_process():
    """Return charges while a process lives, after it closed, and after it ended."""
    shop = Shop()
    with client(shop.remote) as shopper:
        shopper.order("connect", 7)
        shop.accept(7)
        alive = shop.look()
        shopper.order("close")
        shop.hang_up()
        closed = shop.look_later()
        command = shop.charges()[0].owner.command
        pid = shopper.pid
    later = Charging(OFTEN)
    later.load(shop.charging.saved())
    gone = shop.look_later()
    shop.charging = later
    return pid, command, alive, closed, gone, shop.look()


def test_a_process_is_charged_after_it_ended(netns):
    """Seven connections, seen alive: theirs for ever, over a restart of ours too."""
    pid, command, alive, closed, gone, restarted = netns(ended_process)

    expected = [(pid, 7, SEEN)]
    assert [] == alive
    assert expected == closed == gone == restarted
    assert "shop" == command


def unseen_connections(others):
    """Return charges of three connections that came and went between two looks."""
    shop = Shop()
    with client(shop.remote, b"cron") as cron:
        pids = []
        with client(shop.remote, b"pool") as pool, client(shop.remote, b"else") as another:
            for one in (pool, another)[:others]:
                one.order("connect", 2)
                shop.accept(2)
                pids.append(one.pid)
            before = shop.look()
            cron.order("connect", 3)
            cron.order("close")
            shop.accept(3)
            # What still lives is not to be hung up.
            shop._accepted = shop._accepted[-3:]
            shop.hang_up()
            return before, shop.look_later(), pids


@pytest.mark.parametrize("others", [0, 1, 2])
def test_what_was_never_seen_alive_is_not_asserted(netns, others):
    """Nobody on the key, or two: unknown. One: inferred to be its, though it was not."""
    before, after, pids = netns(unseen_connections, others)

    assert [] == before
    assert [(pids[0], 3, INFERRED) if others == 1 else (None, 3, UNKNOWN)] == after


def same_port_again():
    """Return charges of a connection from the port of another that left nothing."""
    shop = Shop()
    with client(shop.remote, b"first") as first, client(shop.remote, b"next") as after:
        port = int(first.order("connect", 1))
        shop.accept(1)
        before = shop.look()
        first.order("reset")
        close(shop._accepted)
        shop._accepted.clear()
        after.order("bind", port)
        after.order("close")
        shop.accept(1)
        shop.hang_up()
        return port, before, shop.look_later()


def test_the_port_of_another_proves_nothing(netns):
    """The kernel's number of the connection differs, so it is not charged as seen."""
    _, before, after = netns(same_port_again)

    assert [] == before
    assert [SEEN] != [certainty for _, _, certainty in after]
    assert 1 == sum(sockets for _, sockets, _ in after)


def between_two_looks():
    """Return charges of seen connections that ended when no look is due, and of others."""
    shop = Shop(ONCE)
    with client(shop.remote) as shopper:
        shopper.order("connect", 4)
        shop.accept(4)
        shop.look()
        shopper.order("close")
        shop.hang_up()
        return shopper.pid, shop.look()


def test_between_two_looks_a_port_is_a_guess(netns):
    """Until its number is asked for, the one who had the port is inferred."""
    pid, after = netns(between_two_looks)

    assert [(pid, 4, INFERRED)] == after


def rested():
    """Return when sockets were looked at in some readings, and until when that was to rest."""
    shop = Shop(OwnersKept(most_work_ratio=0.001))
    with client(shop.remote) as shopper:
        shopper.order("connect", 4)
        shop.accept(4)
        looks = {}
        for _ in range(30):
            shop.look()
            (memory,) = shop.charging._memories.values()
            looks[memory.looked_s] = memory.due_s
        return list(looks.items())


def test_looking_rests_after_its_work(netns):
    """With a thousandth of a core, a look of 0.2 ms has the next one wait for 200 ms."""
    looks = netns(rested)

    assert len(looks) < 30
    assert all(due_s > looked_s + 0.05 for looked_s, due_s in looks)
    assert all(next_s >= due_s for (_, due_s), (next_s, _) in pairwise(looks))


def without_rights():
    """Return charges and the gap of a process that may not look at others."""
    shop = Shop()
    with client(shop.remote) as shopper:
        shopper.order("connect", 2)
        shop.accept(2)
        drop_rights()
        shop.look()
        shopper.order("close")
        shop.hang_up()
        return shop.look_later(), shop.charging.gap


def test_without_rights_totals_are_right_and_owners_a_gap(netns):
    """Whose they are nobody can tell, but how many."""
    charged, gap = netns(without_rights)

    assert [(None, 2, UNKNOWN)] == charged
    assert "owners" == gap.source


def other_boot():
    """Return charges with a memory of an earlier boot, and with bytes that are none."""
    shop = Shop()
    with client(shop.remote) as shopper:
        shopper.order("connect", 2)
        shop.accept(2)
        shop.look()
        saved = shop.charging.saved()
        shopper.order("close")
        shop.hang_up()
        found = []
        of_before = saved.replace(read_instant().boot_id.encode(), b"x" * 36)
        for memory in (of_before, b"", b"\xc1", saved[:-3]):
            shop.charging = Charging(OFTEN)
            shop.charging.load(memory)
            found.append(shop.look())
        return found


def test_the_memory_of_another_boot_is_worth_nothing(netns):
    """Nor are bytes that are no memory: all starts anew, and nothing fails."""
    found = netns(other_boot)

    assert [[(None, 2, UNKNOWN)]] * 4 == found
