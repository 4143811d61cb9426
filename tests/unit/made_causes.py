"""Scenes of failures for tests: ten ports, one destination, and what was read about it.

``of`` makes the question and the scene together, as the use case does: the keys are
those of the destination, ``reached`` says that there is a way to it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from portroom.model.advice.explain import explain
from portroom.model.facts.explanation import Cause, ExplainQuestion
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.scene import Probed, Reached, Scene
from portroom.model.facts.snapshot import Features, Groups, GroupTable, Owners
from portroom.model.facts.sockets import Endpoint, Operation, Owner, Protocol
from portroom.model.laws.headroom import KeysWanted, as_key, doubts, find_keys, settle
from tests.unit.made_change import HOST, host
from tests.unit.made_groups import FORGETS, HERE, REMOTE, inbound
from tests.unit.made_scenes import counters, pulse

TEN = PortRange(40000, 40009)
PORTS = tuple(range(40000, 40010))
THERE = Endpoint(*REMOTE)
WEB = Owner(4711, 100, "web", 33, "web.service", None, 7)

NOT_AVAILABLE, IN_USE, AGAIN = "EADDRNOTAVAIL", "EADDRINUSE", "EAGAIN"


class Case(NamedTuple):
    """A question and what was read to answer it."""

    asked: ExplainQuestion
    scene: Scene

    def causes(self) -> dict[str, Cause]:
        """Return every cause by name."""
        return {cause.name: cause for cause in explain(self.asked, self.scene)}

    def verdict(self, name: str) -> str | None:
        """Return the verdict about one cause, None where it does not belong to the question."""
        cause = self.causes().get(name)
        return cause.verdict if cause else None

    def found(self) -> list[str]:
        """Return the names of the causes that are found."""
        return [cause.name for cause in self.causes().values() if cause.verdict == "found"]


def of(
    *tables: GroupTable,
    error: str | None = NOT_AVAILABLE,
    to: Endpoint | None = THERE,
    accepted: tuple[tuple[int, int], ...] = (),
    settings: dict[str, Any] | None = None,
    asked: dict[str, Any] | None = None,
    held: set[int] | None = None,
    free: set[int] | None = None,
    blocked: set[int] | None = None,
    shared: set[int] | None = None,
    features: Features = FORGETS,
    unseen: int = 0,
    **parts: Any,
) -> Case:
    """
    Return a question about ten ports, and its scene.

    Args:
        tables: The sockets.
        error: The errno that is asked about.
        to: The destination, None for none.
        accepted: Port and number of accepted connections.
        settings: Changes of the host, as ``made_change.host`` takes them.
        asked: More of the question.
        held: Ports that the probe was refused.
        free: Ports that it got.
        blocked: Ports that it was refused for a remote that nobody is connected to.
        shared: Ports that it got there.
        features: What the kernel can do.
        unseen: So many TCP sockets may be only bound, and the kernel lists none that is.
        parts: More of the scene.
    """
    question = ExplainQuestion(error=error, remote=str(to) if to else None, **(asked or {}))
    read = host(*tables, **({"ephemeral": TEN} | (settings or {})))
    assert isinstance(read.groups, Groups)
    groups = msgspec.structs.replace(
        read.groups, inbound=tuple(inbound(port, sockets) for port, sockets in accepted)
    )
    if unseen:
        features = msgspec.structs.replace(features, bound_inactive_rows=False)
        read = msgspec.structs.replace(read, counters=counters(tcp_alloc=unseen))
    read = msgspec.structs.replace(read, groups=groups, features=features, owners=Owners())
    wanted = KeysWanted(Protocol.TCP, Operation.CONNECT, (to,) if to else (), HERE if to else None)
    keys = find_keys(read, wanted)
    probed = None
    if held or free:
        gave, refused = frozenset(free or ()), frozenset(held or ())
        for doubt in doubts(read, keys.measured)[:1]:
            keys = settle(keys, doubt.measured.id, gave, refused, read.settings)
        probed = Probed(free=PortSet.of(gave), held=PortSet.of(refused))
    if blocked or shared:
        probed = msgspec.structs.replace(
            probed or Probed(),
            blocked=PortSet.of(blocked or ()),
            shared=PortSet.of(shared or ()),
        )
    seen = {
        "reached": (Reached(remote=to, local_address=HERE, error=""),) if to else (),
        "before": pulse(),
        "after": pulse(at_s=1.0),
        "elsewhere": (),
        "here": HOST,
        "translations": (),
        "backlogs": (),
        "holdings": (),
    }
    judged = tuple(as_key(one) for one in keys.measured)
    scene = Scene(read=read, keys=judged, probed=probed, **(seen | parts))
    return Case(question, scene)
