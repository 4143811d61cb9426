"""What this kernel does not tell of ports in doubt, each thing with its consequence."""

from __future__ import annotations

from collections.abc import Iterable

from portroom.model.facts.snapshot import Features, Gap
from portroom.model.facts.sockets import Operation, Protocol
from portroom.model.laws.tightest import Measured

STICKS = Gap(
    "port buckets",
    "this kernel is not known to forget a bound socket that has left a port, and shows nothing "
    "of it: a port that a connection holds may be refused to every other destination, and is "
    "in doubt for them",
    ("keys.free_ports",),
)

ONCE = Gap(
    "probe",
    "this kernel can only be asked whether any port is left for a key, not which "
    "(no IP_LOCAL_PORT_RANGE): its other ports in doubt stay in doubt",
    ("keys.free_ports",),
)


def untold(features: Features, keys: Iterable[Measured]) -> tuple[Gap, ...]:
    """
    Return the gaps of some keys, none where no connect is in doubt.

    Args:
        features: What this kernel can do; unknown counts as "no", but for the option,
            which can always be asked for.
        keys: The keys.
    """
    if not any(is_connect(one) and one.figures.doubtful_ports for one in keys):
        return ()
    sticks = () if features.bucket_forgets else (STICKS,)
    return sticks if features.range_option is not False else (*sticks, ONCE)


def is_connect(one: Measured) -> bool:
    """Say whether a key is one of TCP connect, which alone can be asked about."""
    return one.id.protocol is Protocol.TCP and one.id.operation is Operation.CONNECT
