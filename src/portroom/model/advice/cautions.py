"""What to know before a change: warnings and notes, one small function a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from portroom.model.advice.draft import Draft
from portroom.model.advice.lasting import lasting
from portroom.model.advice.limits import filters, time_waits
from portroom.model.advice.occupied import of_sockets, unseen
from portroom.model.advice.reasons import reason
from portroom.model.advice.requests import SET, TAKE
from portroom.model.advice.spelling import as_typed
from portroom.model.advice.wording import count, listed, place_words, ports_words
from portroom.model.facts.change import Reason
from portroom.model.facts.ports import PortSet
from portroom.model.facts.settings import DEFAULT_RANGE, setting_named
from portroom.model.laws.acceptance import RANGE_KEY, RESERVED_KEY, START_KEY

WELL_KNOWN = 1024
"""Ports below it are the ones that others take for services."""

REUSE = setting_named("tcp_tw_reuse")
DELAY = setting_named("tcp_tw_reuse_delay")
AUTOBIND = setting_named("ip_autobind_reuse")
STEP = setting_named("ip_local_port_step_width")
TIMESTAMPS = setting_named("tcp_timestamps")


def cautions(change: Draft) -> list[Reason]:
    """Return every warning and note of a draft but those about collisions."""
    return [one for rule in RULES for one in rule(change)]


def _sockets_unseen(change: Draft) -> Iterator[Reason]:
    """Warn that nobody knows what the range takes in."""
    gap = unseen(change.read)
    if gap and change.newly:
        yield reason(
            "sockets_unseen",
            f"What listens on the {count(len(change.newly), 'new port')} is not known: "
            f"{gap.reason}.",
        )


def _same_parity(change: Draft) -> Iterator[Reason]:
    """Warn of a range whose ends are both even or both odd."""
    ephemeral = change.after.ephemeral
    if change.changes(RANGE_KEY) and ephemeral.same_parity:
        even = "even" if ephemeral.first % 2 == 0 else "odd"
        yield reason(
            "same_parity",
            f"{ephemeral.first} and {ephemeral.last} are both {even}: "
            "the search for a port leaves one end out.",
        )


def _selinux(change: Draft) -> Iterator[Reason]:
    """
    Warn that SELinux checks bind() to a named port only outside the range.

    Source: Linux security/selinux/hooks.c, selinux_socket_bind.
    """
    if not change.around.selinux or not change.changes(RANGE_KEY):
        return
    old, new = PortSet([change.before.ephemeral]), PortSet([change.after.ephemeral])
    for gained, sentence in (
        (new - old, "no longer checks which program may bind ports"),
        (old - new, "checks again which program may bind ports"),
    ):
        if gained:
            yield reason(
                "selinux", f"SELinux ({change.around.selinux}) {sentence} {ports_words(gained)}."
            )


def _source_ports(change: Draft) -> Iterator[Reason]:
    """Warn of source ports that firewalls on the path may not know."""
    outside = change.newly - PortSet([DEFAULT_RANGE])
    if outside and change.changes(RANGE_KEY):
        yield reason(
            "source_ports_outside_default",
            f"{count(len(outside), 'new source port')} outside of {DEFAULT_RANGE}: "
            f"firewalls on the path may not admit {ports_words(outside)}.",
            "Test the peers that matter before you confirm."
            if change.request.trial_s
            else "Try it with --try, towards the peers that matter.",
        )


def _filter_lines(change: Draft) -> Iterator[Reason]:
    """Warn of firewalls of this host that name the default range."""
    found = list(filters(change)) if change.changes(RANGE_KEY) else []
    if found:
        places = [f"{line.file}:{line.line}" for line in change.around.filters]
        yield reason(
            "filter_names_default_range",
            f"Firewall rules here name the default range {DEFAULT_RANGE}, and "
            f"{change.after.ephemeral} goes beyond it: {listed(places)}.",
            f"Let them admit {change.after.ephemeral}.",
        )


def _low_range(change: Draft) -> Iterator[Reason]:
    """Warn of outgoing connections from ports below 1024."""
    first = change.after.ephemeral.first
    if change.changes(RANGE_KEY) and first < min(WELL_KNOWN, change.before.ephemeral.first):
        yield reason(
            "range_below_1024",
            f"Outgoing connections may then come from ports {first}-{WELL_KNOWN - 1}, "
            "which others take for services.",
        )


def _privilege(change: Draft) -> Iterator[Reason]:
    """Warn of ports that need a right no longer, or from now on."""
    old, new = change.before.number(START_KEY, 0), change.after.number(START_KEY, 0)
    if new < old:
        yield reason(
            "unprivileged_ports",
            f"Every program may then bind ports {new}-{old - 1}, without a right.",
        )
    losing = [
        one
        for one in of_sockets(change.read)
        if old <= one.first < new and one.kind != "udp_client"
    ]
    if losing:
        named = listed(list(dict.fromkeys(map(place_words, losing))))
        yield reason(
            "privileged_listeners",
            f"{named}: below {new} a program needs CAP_NET_BIND_SERVICE to start again.",
        )


def _dropped(change: Draft) -> Iterator[Reason]:
    """Warn that ``reserved=`` drops what was reserved."""
    dropped = change.before.reserved - change.after.reserved
    replaced = any(one.setting.key == RESERVED_KEY and one.operator == SET for one in change.wanted)
    if dropped and replaced:
        yield reason(
            "reservations_dropped",
            f"{count(len(dropped), 'port')} would be reserved no longer: {ports_words(dropped)}.",
            "Write reserved+= to add to the list.",
        )


def _not_reserved(change: Draft) -> Iterator[Reason]:
    """Note ports that are taken from the list and are not in it."""
    for one in change.wanted:
        if one.operator == TAKE and isinstance(one.value, PortSet):
            missing = one.value - change.before.reserved
            if missing:
                yield reason("not_reserved", f"Not reserved before: {ports_words(missing)}.")


def _reserved_outside(change: Draft) -> Iterator[Reason]:
    """Note ports that are reserved where the kernel chooses none."""
    added = change.after.reserved - change.before.reserved
    outside = added - PortSet([change.after.ephemeral])
    if outside:
        yield reason(
            "reserved_outside",
            f"Reserved outside of the range {change.after.ephemeral}: {ports_words(outside)}. "
            "That changes nothing now.",
        )


def _reuse(change: Draft) -> Iterator[Reason]:
    """Say what reusing TIME_WAIT needs, and how many it is about."""
    reuse = change.after.number(REUSE.key, 0)
    if change.changes(DELAY.key) and not reuse:
        yield reason(
            "no_reuse",
            "tcp_tw_reuse is 0, so the delay has no effect.",
            "Set tcp_tw_reuse=1, too.",
        )
    if not change.changes(REUSE.key) or not reuse:
        return
    if not change.after.number(TIMESTAMPS.key, 1):
        yield reason(
            "no_timestamps",
            "tcp_timestamps is 0: without timestamps no TIME_WAIT is reused.",
            "Switch net.ipv4.tcp_timestamps on, here and at the peers.",
        )
    waiting = time_waits(change.read)
    if waiting is not None:
        yield reason(
            "time_wait_now", f"{count(waiting, 'connection')} in TIME_WAIT now, in this namespace."
        )


def _autobind(change: Draft) -> Iterator[Reason]:
    """Warn that a shared port may break programs."""
    if change.changes(AUTOBIND.key) and change.after.number(AUTOBIND.key, 0):
        yield reason(
            "autobind_reuse",
            "Once no port is free, programs with SO_REUSEADDR that bind() to port 0 get one "
            "that another has; two connections to one destination then fail.",
            "IP_BIND_ADDRESS_NO_PORT on the socket is the better way.",
        )


def _does_not(change: Draft) -> Iterator[Reason]:
    """Note what a setting is believed to do and does not."""
    for row in (REUSE, DELAY, AUTOBIND, STEP):
        if change.changes(row.key):
            yield reason("does_not", f"{row.name}: {row.does_not}")


def _nothing_to_do(change: Draft) -> Iterator[Reason]:
    """Note settings that have the wanted value already."""
    for one in change.wanted:
        key = one.setting.key
        if key in change.before.values and not change.changes(key):
            now = as_typed(change.before.values[key])
            yield reason("nothing_to_do", f"{one.setting.name} is {now} already.")


RULES: tuple[Callable[[Draft], Iterator[Reason]], ...] = (
    _sockets_unseen,
    _same_parity,
    _dropped,
    _privilege,
    _low_range,
    _source_ports,
    _filter_lines,
    _selinux,
    _reuse,
    _autobind,
    _not_reserved,
    _reserved_outside,
    _nothing_to_do,
    _does_not,
    lasting,
)
"""The rules, in the order in which they are told."""
