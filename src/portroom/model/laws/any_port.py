"""What one search over the whole range tells, where no single port can be asked about.

The kernel says which port it would give, or that it would give none. Two things a yes
or no leaves open: a same-parity range may lose one of its end ports in one search and
find it in the next, and the search takes over a TIME_WAIT that it may reuse, so that it
is not asked there.
"""

from __future__ import annotations

import msgspec

from portroom.model.facts.snapshot import Settings
from portroom.model.facts.sockets import TcpState
from portroom.model.laws.occupancy import Figures
from portroom.model.laws.tightest import Measured
from portroom.model.laws.time_wait import reuse_applies


def is_open_question(measured: Measured) -> bool:
    """Say whether nothing is surely free, and something may be; of a VRF nobody can ask."""
    figures = measured.figures
    return not figures.free_ports and bool(figures.doubtful_ports) and measured.id.vrf is None


def would_take_over(measured: Measured, settings: Settings) -> bool:
    """Say whether a search for this key may take over a TIME_WAIT, now or in a second."""
    key = measured.id
    return TcpState.TIME_WAIT.name in measured.states and reuse_applies(
        settings, key.family, key.local_address
    )


def unsure_ends(settings: Settings) -> frozenset[int]:
    """Return the ports that one search finds and the next may not."""
    ends = settings.ephemeral
    return frozenset((ends.first, ends.last)) if ends.same_parity else frozenset()


def answered(figures: Figures, port: int | None, settings: Settings) -> Figures:
    """
    Return the numbers after the kernel found a port, or none, in one search.

    Args:
        figures: The numbers before, with nothing surely free.
        port: What it found.
        settings: The range.
    """
    if port in unsure_ends(settings):
        return figures
    if port is not None:
        doubtful = figures.doubtful_ports - 1
        return msgspec.structs.replace(figures, doubtful_ports=doubtful, free_ports=1)
    left = min(figures.doubtful_ports, int(settings.ephemeral.same_parity))
    held = figures.held_ports + figures.doubtful_ports - left
    return msgspec.structs.replace(figures, held_ports=held, doubtful_ports=left)
