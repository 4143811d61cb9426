"""Connects without an answer: a full accept queue here, or a destination that is silent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from portroom.model.advice.causes.pools import remotes, went
from portroom.model.advice.causes.table import (
    Advice,
    Figures,
    found,
    possible,
    ruled_out,
    unknown,
)
from portroom.model.advice.causes.tracking import conntrack_full, snat_exhausted
from portroom.model.advice.causes.words import (
    command,
    count,
    gap_words,
    owners_words,
    percent,
    tool,
)
from portroom.model.facts.explanation import FOUND, Cause, ExplainQuestion
from portroom.model.facts.gaps import Gap, part_or_none
from portroom.model.facts.scene import NetCounts, Pulse, Reached, Scene
from portroom.model.facts.snapshot import Groups
from portroom.model.facts.sockets import (
    Endpoint,
    Family,
    Owner,
    Protocol,
    TcpState,
    address_text,
    is_loopback,
    packed_address,
)

QUEUE, SILENT = "accept_queue_full", "no_answer"

PILE = 3
"""Connections that wait for an answer, from which on it is no chance."""

PILE_SHARE = 0.1
"""And which part of all connections to the destination they are: with many connects a second
some are always on their way."""


Remote = tuple[Family, bytes]
"""A remote endpoint: 16 bytes of address as in sock_diag, 2 of port."""


class Queue(NamedTuple):
    """The accept queue of a listener: connections that wait, and how many may."""

    local: Endpoint
    waiting: int
    limit: int
    owners: tuple[Owner, ...]


def accept_queue_full(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether the accept queue of a listener of this host is full."""
    if asked.protocol is Protocol.UDP:
        return None
    rows = scene.read.rows
    if isinstance(rows, Gap):
        return unknown(
            QUEUE,
            f"The listeners could not be read: {gap_words(rows)}.",
            command(scene, "sessions", "--state", "LISTEN"),
        )
    if asked.remote is not None and not went(scene):
        return unknown(QUEUE, f"Whether {asked.remote} is on this host could not be asked.")
    if asked.remote is not None and not any(map(_is_here, went(scene))):
        return unknown(
            QUEUE,
            f"{asked.remote} is not in this namespace: its accept queue can only be seen where it "
            "listens, with the same question.",
        )
    queues = [one for one in _queues(scene) if _serves(one, asked, scene)]
    if not queues:
        where = f" for {asked.remote}" if asked.remote else ""
        return ruled_out(QUEUE, f"Nothing listens here{where}.")
    return _judged(max(queues, key=lambda one: one.waiting - one.limit), asked, scene)


def _judged(one: Queue, asked: ExplainQuestion, scene: Scene) -> Cause:
    """Return the verdict about the queue with the least room."""
    overflows, rising = _overflows(scene)
    verb = "waits" if one.waiting == 1 else "wait"
    numbers = {"waiting": one.waiting, "limit": one.limit, "listen_overflows": overflows}
    text = (
        f"{count(one.waiting, 'connection')} {verb} in the accept queue of {one.local}, which "
        f"takes {one.limit:,}"
    )
    remedy = (
        "The program does not accept() fast enough: see whether it hangs, give it more workers, "
        "and a larger backlog in listen() (net.core.somaxconn is the most it may be)."
    )
    words = command(scene, "sessions", "--state", "LISTEN", "--local", f":{one.local.port}")
    advice = Advice(remedy, words)
    counted = (
        f" ListenOverflows rose by {rising:,} while looking."
        if rising
        else (f" ListenOverflows stands at {overflows:,}." if overflows else "")
    )
    # Source: Linux include/net/sock.h, sk_acceptq_is_full: one more than the limit may wait.
    if one.waiting > one.limit:
        text += f": it is full, and further handshakes are dropped.{counted}"
        return found(QUEUE, text + owners_words(one.owners), advice, numbers)
    if rising:
        where = "it" if asked.remote else "some listener"
        return possible(
            QUEUE,
            f"{text}.{counted} That may have been {where}.{owners_words(one.owners)}",
            advice,
            numbers,
        )
    return ruled_out(QUEUE, f"{text}: there is room.", numbers)


def _overflows(scene: Scene) -> tuple[int, int]:
    """Return how often an accept queue was full: ever, and while looking."""
    counts = [
        one.counts
        for one in (scene.before, scene.after)
        if isinstance(one, Pulse) and isinstance(one.counts, NetCounts)
    ]
    if not counts:
        return 0, 0
    return counts[-1].listen_overflows, counts[-1].listen_overflows - counts[0].listen_overflows


def _is_here(path: Reached) -> bool:
    """Say whether a destination is an address of this namespace."""
    there = packed_address(path.remote.address)
    if is_loopback(*there):
        return True
    # The kernel goes to an address of its own from that very address.
    return path.local_address is not None and packed_address(path.local_address) == there


def _queues(scene: Scene) -> Iterator[Queue]:
    """Yield the accept queue of each TCP listener that was read."""
    rows = scene.read.rows
    if isinstance(rows, Gap):
        return
    known = part_or_none(scene.read.owners)
    for place, state in enumerate(rows.state):
        if state is TcpState.LISTEN and rows.protocol[place] is Protocol.TCP:
            yield Queue(
                Endpoint(rows.local_address[place], rows.local_port[place]),
                rows.recv_queue_bytes[place],
                rows.send_queue_bytes[place],
                known.by_inode.get(rows.inode[place], ()) if known else (),
            )


def _serves(one: Queue, asked: ExplainQuestion, scene: Scene) -> bool:
    """Say whether a listener is the one that a connection to the destination meets."""
    if asked.remote is None:
        return True
    family, address = packed_address(one.local.address)
    for path in went(scene):
        if path.remote.port == one.local.port and _is_here(path):
            there = packed_address(path.remote.address)
            # A dual-stack :: takes IPv4 as well; where it does not, nothing waits in it.
            if there == (family, address) or not any(address):
                return True
    return False


def no_answer(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether connections wait in vain for the destination's answer."""
    if asked.protocol is Protocol.UDP:
        return None
    groups = scene.read.groups
    if isinstance(groups, Gap):
        return unknown(SILENT, f"The sockets could not be read: {gap_words(groups)}.")
    if asked.remote is not None and not remotes(scene):
        return unknown(SILENT, f"What {asked.remote} means could not be asked.")
    waiting, every = _waiting(groups, asked, scene)
    if not waiting:
        to = f" to {asked.remote}" if asked.remote else ""
        return ruled_out(SILENT, f"No connection{to} waits for an answer now (SYN_SENT).")
    there, sockets = max(waiting.items(), key=lambda entry: (entry[1], entry[0]))
    return _silent(there, sockets, every[there], _explained(asked, scene), scene)


def _silent(there: Remote, sockets: int, total: int, other: str, scene: Scene) -> Cause:
    """
    Return the verdict about connections that wait for one destination.

    Args:
        there: The destination.
        sockets: Connections to it that wait.
        total: All connections to it.
        other: The cause on this host that explains them, "" where there is none.
        scene: Where it was seen.
    """
    family, packed = there
    remote = Endpoint(address_text(family, packed[:16]), int.from_bytes(packed[16:], "big"))
    verb = "waits" if sockets == 1 else "wait"
    text = (
        f"{count(sockets, 'connection')} to {remote} {verb} for an answer (SYN_SENT), "
        f"{percent(sockets, total)} of all {total:,} towards it."
    )
    figures: Figures = {"syn_sent": sockets, "sockets": total, "remote": str(remote)}
    if other:
        return ruled_out(SILENT, f"{text} That comes from {other}.", figures)
    advice = Advice(
        "The packets are lost on the way, a firewall drops them (one of this host, too: TCP does "
        "not get EPERM for it, but waits), or the host there is down or its own queue is full. "
        "Look there, and at what stands between.",
        tool(scene, f"ip {'-6 ' if family is Family.IPV6 else ''}route get {remote.address}"),
    )
    if sockets >= PILE and sockets >= PILE_SHARE * total:
        return found(SILENT, text, advice, figures)
    return possible(SILENT, f"{text} They may just be on their way.", advice, figures)


def _waiting(
    groups: Groups, asked: ExplainQuestion, scene: Scene
) -> tuple[Counter[Remote], Counter[Remote]]:
    """Return the connections in SYN_SENT by remote endpoint, and all connections so."""
    wanted = set()
    for remote in remotes(scene):
        family, packed = packed_address(remote.address)
        wanted.add((family, packed + remote.port.to_bytes(2, "big")))
    waiting: Counter[Remote] = Counter()
    every: Counter[Remote] = Counter()
    for table in groups.tables:
        if table.protocol is Protocol.TCP:
            for key, ports in table.ports.items():
                there = table.family, key[18:34] + key[:2]
                if asked.remote is None or there in wanted:
                    every[there] += len(ports)
                    if table.state is TcpState.SYN_SENT:
                        waiting[there] += len(ports)
    return waiting, every


def _explained(asked: ExplainQuestion, scene: Scene) -> str:
    """Return the cause on this host that keeps answers away; "" where there is none."""
    causes = (rule(asked, scene) for rule in (conntrack_full, snat_exhausted, accept_queue_full))
    return next((one.name for one in causes if one and one.verdict == FOUND), "")
