"""Connection tracking: its table is full, or address translation finds no port."""

from __future__ import annotations

from portroom.model.advice.causes.pools import NEAR_FULL_RATIO, remotes
from portroom.model.advice.causes.table import (
    NOT_PERMITTED,
    TIMED_OUT,
    Advice,
    found,
    possible,
    ruled_out,
    unknown,
)
from portroom.model.advice.causes.words import are, count, gap_words, percent, tool
from portroom.model.facts.explanation import Cause, ExplainQuestion
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import LAST_PORT, PortRange
from portroom.model.facts.scene import ConntrackStats, Pulse, Scene, Translation
from portroom.model.facts.sockets import Endpoint, Protocol, packed_address

TABLE_FULL, SNAT = "conntrack_full", "snat_exhausted"

SNAT_PORTS = PortRange(1024, LAST_PORT)
"""What a rule without ports chooses from. Source: nf_nat_l4proto_unique_tuple."""

SEARCH_RATIO = 0.95
"""From here on the search, which gives up after 248 tries, begins to miss ports."""

COUNTED = "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max"

MORE_ENTRIES = (
    "Raise nf_conntrack_max (about 300 bytes of kernel memory an entry), let idle entries go "
    "sooner (nf_conntrack_tcp_timeout_established is five days), or do not track what needs no "
    "tracking."
)

WIDER = (
    "The ports are counted for each translated address and destination: translate to more "
    "addresses, widen the ports of the rule, or let clients keep their connections open."
)

REFUSED_ENTRIES = "conntrack -S"


def conntrack_full(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether the table of tracked connections has room."""
    if (asked.error, asked.protocol) in (
        (NOT_PERMITTED, Protocol.TCP),  # a full table makes TCP wait, and UDP fail
        (TIMED_OUT, Protocol.UDP),
    ):
        return None
    used, limit = scene.around.conntrack_used, scene.around.conntrack_max
    if used is None or limit is None:
        return _not_counted(scene)
    rise = _rise(scene)
    # What could not be entered is counted as dropped, too, and has other reasons.
    dropped = max(rise.dropped - rise.insert_failed, 0) if rise else 0
    early = rise.early_dropped if rise else 0
    figures = {"tracked": used, "limit": limit, "dropped_now": dropped, "early_dropped_now": early}
    text = f"{used:,} of {limit:,} connections are tracked ({percent(used, limit)})"
    lost = f"; while looking {count(dropped, 'packet')} were dropped" if dropped else ""
    if used >= limit or (used >= NEAR_FULL_RATIO * limit and dropped):
        text += f": the table is full{lost}. New TCP connections time out, UDP sends get EPERM."
        return found(TABLE_FULL, text, Advice(MORE_ENTRIES, tool(scene, COUNTED)), figures)
    doubt = _doubt(used, limit, dropped, early)
    if doubt:
        advice = Advice(MORE_ENTRIES, tool(scene, COUNTED))
        return possible(TABLE_FULL, f"{text}{doubt}.", advice, figures)
    quiet = ", and no packet was dropped while looking" if rise else ""
    return ruled_out(TABLE_FULL, f"{text}{quiet}.", figures)


def _doubt(used: int, limit: int, dropped: int, early: int) -> str:
    """Return why a table with room may have been full a moment ago; "" where nothing says so."""
    if used >= NEAR_FULL_RATIO * limit:
        return ": a burst takes the rest"
    if early:
        connections = count(early, "connection")
        return f"; while looking {connections} were given up for new ones: it was full for a moment"
    packets = count(dropped, "packet")
    lost = f"; while looking {packets} were dropped, by a table that was full, or as invalid"
    return lost if dropped else ""


def _not_counted(scene: Scene) -> Cause:
    """Return the verdict where no tracked connections are told."""
    gap = next((gap for gap in scene.around.gaps if gap.source == "conntrack"), None)
    stats = scene.before.conntrack if isinstance(scene.before, Pulse) else scene.before
    if gap is None and isinstance(stats, Gap):
        gap = stats
    if gap is not None:
        return unknown(
            TABLE_FULL,
            f"How many connections are tracked could not be read: {gap_words(gap)}.",
            tool(scene, COUNTED),
        )
    return ruled_out(TABLE_FULL, "Connections are not tracked in this namespace.")


def _rise(scene: Scene) -> ConntrackStats | None:
    """Return what was counted between the two readings, None where there are not two."""
    pulses = scene.before, scene.after
    stats = [one.conntrack for one in pulses if isinstance(one, Pulse)]
    first, last = stats if len(stats) == 2 else (None, None)
    if not isinstance(first, ConntrackStats) or not isinstance(last, ConntrackStats):
        return None
    return ConntrackStats(
        insert_failed=last.insert_failed - first.insert_failed,
        dropped=last.dropped - first.dropped,
        early_dropped=last.early_dropped - first.early_dropped,
    )


def snat_exhausted(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether this host, where it translates sources, has ports left for them."""
    rise = _rise(scene)
    failed = rise.insert_failed if rise else 0
    if isinstance(scene.translations, Gap):
        return _not_listed(scene, scene.translations, failed)
    about = [one for one in scene.translations if _is_about(one, asked, scene)]
    if not about:
        return _no_translation(asked, scene, failed)
    one = max(about, key=_filled)
    ports = one.ports or SNAT_PORTS
    ratio = _filled(one)
    numbers = {"held_ports": one.held_ports, "ports": ports.ports, "insert_failed_now": failed}
    text = _translation_words(one, ports)
    if failed:
        text += (
            f" {count(failed, 'connection')} could not be entered while looking (insert_failed)."
        )
    if ratio >= 1 or (ratio >= SEARCH_RATIO and failed):
        text += " New ones are dropped: the client times out, it never sees EADDRNOTAVAIL."
        return found(SNAT, text, _wider(scene), numbers)
    if ratio >= SEARCH_RATIO:
        text += " The search for a port gives up after 248 tries, so that some fail before all "
        text += "are held."
        return possible(SNAT, text, _wider(scene), numbers)
    if failed:
        return possible(SNAT, f"{text} Two packets that race fail so, too.", _wider(scene), numbers)
    return ruled_out(SNAT, text, numbers)


def _wider(scene: Scene) -> Advice:
    """Return what helps where translations find no port."""
    return Advice(WIDER, tool(scene, REFUSED_ENTRIES))


def _filled(one: Translation) -> float:
    """Return which part of its ports a translation holds."""
    return one.held_ports / (one.ports or SNAT_PORTS).ports


def _is_about(one: Translation, asked: ExplainQuestion, scene: Scene) -> bool:
    """Say whether a translation is towards the destination that is asked about."""
    if asked.protocol is not None and one.protocol != asked.protocol.value:
        return False
    there = remotes(scene)
    if asked.remote is None or not there:
        return True
    return any(
        remote.port == one.remote_port
        and packed_address(remote.address) == packed_address(one.remote_address)
        for remote in there
    )


def _translation_words(one: Translation, ports: PortRange) -> str:
    """Return how many ports a translation holds, and from which."""
    remote = Endpoint(one.remote_address, one.remote_port)
    chosen = "" if one.ports else ", which is what a rule without ports chooses from"
    return (
        f"Connections through this host to {remote} are translated to {one.local_address}: "
        f"{one.held_ports:,} of {count(ports.ports, 'port')} {are(one.held_ports)} held ({ports}{chosen})."
    )


def _not_listed(scene: Scene, gap: Gap, failed: int) -> Cause:
    """Return the verdict where the translated connections may not be listed."""
    text = f"The translated connections could not be read: {gap_words(gap)}."
    if failed:
        text += (
            f" {count(failed, 'connection')} could not be entered while looking (insert_failed)."
        )
        return possible(SNAT, text, _wider(scene), {"insert_failed_now": failed})
    return unknown(SNAT, text, tool(scene, REFUSED_ENTRIES))


def _no_translation(asked: ExplainQuestion, scene: Scene, failed: int) -> Cause:
    """Return the verdict where nothing is translated towards the destination."""
    to = f" to {asked.remote}" if asked.remote else ""
    text = f"This namespace translates the source of no connection{to}"
    if failed:
        return possible(
            SNAT,
            f"{text} now, but {count(failed, 'connection')} could not be entered while looking "
            "(insert_failed): a translation without a port, or two packets that race.",
            _wider(scene),
            {"insert_failed_now": failed},
        )
    return ruled_out(SNAT, f"{text}; a gateway on the way may.")
