"""Reasons about collisions: one sentence a kind, however many ports it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from portroom.model.advice.collisions import (
    BOUND,
    KINDS,
    LISTENER,
    NODE_PORTS,
    PUBLISHED,
    SERVICE,
    UDP,
    UDP_CLIENT,
    VXLAN,
    Occupied,
)
from portroom.model.advice.draft import Draft
from portroom.model.advice.reasons import reason
from portroom.model.advice.wording import listed, place_words, ports_words
from portroom.model.facts.change import (
    NOTE,
    REFUSAL,
    WARNING,
    Collision,
    HeldPort,
    Reason,
)
from portroom.model.facts.ports import PortRange, PortSet

SAID: Mapping[str, tuple[str, str]] = {
    PUBLISHED: ("published_ports_inside", "Published ports that the kernel could then choose"),
    VXLAN: ("vxlan_inside", "Ports of VXLAN devices that the kernel could then choose"),
    LISTENER: ("listeners_inside", "Ports of listeners that the kernel could then choose"),
    BOUND: ("bound_ports_inside", "Ports held by bind() that the kernel could then choose"),
    UDP: ("udp_sockets_inside", "Ports of UDP sockets that the kernel could then choose"),
    SERVICE: ("service_ports_inside", "Ports of installed units that the kernel could then choose"),
    NODE_PORTS: ("node_ports_inside", "NodePorts that the kernel could then choose"),
    UDP_CLIENT: (
        "udp_clients_inside",
        "Ports of connected UDP sockets that the kernel could then choose",
    ),
}
"""The code of each kind of collision, and how its sentence begins."""

KEEP_AWAY = "Add --reserve to reserve them in the same change."


def reasons_of(found: Sequence[Occupied], change: Draft) -> list[Reason]:
    """
    Return why collisions speak against a change, in the order of their kinds.

    Ports that the change itself reserves are noted, and nothing else.
    """
    kept, request = change.reserves, change.request
    reasons = []
    for kind, (code, begin) in SAID.items():
        places = [place_words(one) for one in found if one.kind == kind]
        if places and not (kept and KINDS[kind].proposed):
            remedy = KEEP_AWAY if KINDS[kind].proposed else ""
            reasons.append(reason(code, f"{begin}: {listed(places)}.", remedy, request))
    reserved = PortSet(
        PortRange(one.first, one.last) for one in found if kept and KINDS[one.kind].proposed
    )
    if reserved:
        sentence = f"Reserved because something counts on them: {ports_words(reserved)}."
        reasons.append(reason("reserved_too", sentence))
    return reasons


def as_collisions(found: Iterable[Occupied], change: Draft) -> tuple[Collision, ...]:
    """Return collisions as a plan has them; NOTE is one whose port the change reserves."""
    return tuple(
        Collision(
            one.kind,
            _severity(one, change),
            one.protocol,
            one.first,
            one.last,
            one.label,
            tuple(one.owners),
        )
        for one in found
    )


def _severity(one: Occupied, change: Draft) -> str:
    """Return how grave a collision is under the options given."""
    weight = KINDS[one.kind]
    if change.reserves and weight.proposed:
        return NOTE
    return REFUSAL if weight.refuses and not change.request.force else WARNING


def held_reasons(held: Sequence[HeldPort]) -> list[Reason]:
    """Return the warning that ports to be reserved are held now."""
    if not held:
        return []
    names = [
        f"{one.protocol} {one.port}" + (f" ({one.owners[0].command})" if one.owners else "")
        for one in held
    ]
    sentence = f"Held by outgoing connections now: {listed(names)}; no service can start there yet."
    return [reason("held_now", sentence)]
