"""What a kernel does not tell of ports in doubt is said, with its consequence."""

import msgspec
import pytest

from portroom.model.facts.snapshot import Groups
from portroom.model.facts.sockets import Operation, Protocol
from portroom.model.laws.headroom import KeysWanted, find_keys
from portroom.model.laws.untold import ONCE, STICKS
from tests.unit.made_groups import FORGETS, REMOTE, STICKY, settings, snapshot, table

OLDEST = msgspec.structs.replace(STICKY, range_option=False)
UNKNOWN = msgspec.structs.replace(FORGETS, bucket_forgets=None, range_option=None)
OTHER = (REMOTE[0], REMOTE[1] + 1)


def gaps(features, wanted, *tables):
    """Return the gaps of the wanted keys of some sockets."""
    return find_keys(snapshot(Groups(tables, ()), settings(), features), wanted).gaps


@pytest.mark.parametrize(
    ("features", "told"),
    [(FORGETS, ()), (STICKY, (STICKS,)), (OLDEST, (STICKS, ONCE)), (UNKNOWN, (STICKS,))],
)
def test_each_thing_that_this_kernel_cannot_tell_is_a_gap(features, told):
    """A port that another destination holds is in doubt: why, and what can be asked."""
    held = table(40001, remote=REMOTE), table(40002, remote=OTHER)

    assert told == gaps(features, KeysWanted(Protocol.TCP), *held)


def test_without_doubt_nothing_is_missing():
    """A key that holds every port that has an owner is sure on every kernel."""
    assert gaps(OLDEST, KeysWanted(Protocol.TCP), table(40001, remote=REMOTE)) == ()


def test_other_operations_know_no_buckets():
    """bind0 and UDP go by addresses that overlap."""
    held = table(40001, remote=REMOTE), table(40002, remote=OTHER)

    for wanted in (KeysWanted(Protocol.UDP), KeysWanted(Protocol.TCP, Operation.BIND0)):
        assert gaps(OLDEST, wanted, *held) == ()
