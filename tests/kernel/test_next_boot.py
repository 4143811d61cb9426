"""What decides at the next boot is read where it is wanted, and once for all namespaces."""

import msgspec

from portroom.api.source import Live, System
from portroom.kernel.snapshot import Wanted, take
from portroom.model.facts.boot import BootFacts
from portroom.model.facts.snapshot import not_looked_at
from tests.unit.made_boot import FULL


def test_it_is_read_only_where_it_is_wanted(netns):
    """
    A question that does not need it pays nothing, and its Snapshot says so.
    """
    without, wanted = netns(lambda: (take(Wanted()), take(Wanted(boot=True))))

    assert not_looked_at("boot") == without.boot
    assert isinstance(wanted.boot, BootFacts)
    assert "/" == wanted.boot.root


def test_it_is_read_once_for_all_namespaces(netns):
    """
    What the first namespace read, the others take over.
    """

    def job():
        """Ask twice, of one system and of one that was read before."""
        system = System()
        first = Live(system=system).take(Wanted(boot=True))
        second = Live(system=system).take(Wanted(boot=True))
        known = Live(system=System(FULL)).take(Wanted(boot=True))
        return first.boot is second.boot, known.boot, Live(system=system).take(Wanted()).boot

    shared, known, unasked = netns(job)

    assert shared
    assert known == FULL
    assert not_looked_at("boot") == unasked
    assert msgspec.structs.asdict(Live()) == msgspec.structs.asdict(Live(system=System()))
