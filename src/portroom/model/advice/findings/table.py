"""All findings in one table: name, title, the rule, and the parts that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from portroom.model.advice.findings import (
    beliefs,
    churn,
    kept,
    keys,
    limits,
    parts,
    piles,
    ports,
    programs,
)
from portroom.model.advice.findings.words import page
from portroom.model.facts.answers import Finding
from portroom.model.facts.scene import Scene

Rule = Callable[[Scene], Iterator[Finding]]


class Row(msgspec.Struct, frozen=True):
    """
    One finding: what it is about, its rule, and the parts without which that cannot look.
    """

    title: str
    rule: Rule
    needs: tuple[str, ...]


SOCKETS = (parts.SETTINGS, parts.GROUPS)

FINDINGS: Mapping[str, Row] = {
    "tight_key": Row("A destination has few ports left", keys.tight_key, SOCKETS),
    "bind_first": Row(
        "A program binds before it connects", programs.bind_first, (*SOCKETS, parts.OWNERS)
    ),
    "time_wait_inflow": Row(
        "More connections end than the ports allow",
        churn.time_wait_inflow,
        (*SOCKETS, parts.AGES),
    ),
    # What is published without a listener is told where somebody looked around.
    "listener_in_range": Row(
        "A service listens inside the range", ports.listener_in_range, SOCKETS
    ),
    "node_ports_in_range": Row(
        "NodePorts lie inside the range",
        ports.node_ports_in_range,
        (parts.SETTINGS, parts.PORTS_AROUND),
    ),
    "same_parity": Row(
        "Both ends of the range are even, or odd", ports.same_parity, (parts.SETTINGS,)
    ),
    "untuned_namespace": Row(
        "Namespaces have the default range on a tuned host",
        kept.untuned_namespace,
        (parts.RANGES,),
    ),
    "drift": Row(
        "A setting is not what the next boot gives", kept.drift, (parts.SETTINGS, parts.BOOT)
    ),
    "boot_conflict": Row(
        "Boot programs disagree on a setting", kept.boot_conflict, (parts.SETTINGS, parts.BOOT)
    ),
    "tw_reuse": Row("TIME_WAIT reuse does not act where it is needed", keys.tw_reuse, SOCKETS),
    "tw_buckets_low": Row(
        "Connections end without TIME_WAIT",
        limits.tw_buckets_low,
        (parts.SETTINGS, parts.COUNTS),
    ),
    "autobind_reuse": Row(
        "bind() to port 0 may share ports", kept.autobind_reuse, (parts.SETTINGS,)
    ),
    "conntrack_near_full": Row(
        "The table of tracked connections is nearly full",
        limits.conntrack_near_full,
        (parts.CONNTRACK,),
    ),
    "conntrack_insert_failed": Row(
        "Connections could not be tracked",
        limits.conntrack_insert_failed,
        (parts.CONNTRACK_STATS,),
    ),
    "snat_tight": Row(
        "SNAT has few ports left towards an endpoint", limits.snat_tight, (parts.TRANSLATIONS,)
    ),
    "udp_port_each": Row(
        "A program uses a UDP port for each destination",
        piles.udp_port_each,
        (*SOCKETS, parts.OWNERS),
    ),
    "close_wait_pile": Row("Connections are left in CLOSE_WAIT", piles.close_wait_pile, SOCKETS),
    "known_software": Row(
        "The program has a setting for this", churn.known_software, (*SOCKETS, parts.OWNERS)
    ),
    "myth_fin_timeout": Row(
        "tcp_fin_timeout does not shorten TIME_WAIT",
        beliefs.myth_fin_timeout,
        (parts.SETTINGS,),
    ),
    "myth_tw_recycle": Row(
        "tcp_tw_recycle is gone, and broke clients behind NAT",
        beliefs.myth_tw_recycle,
        (parts.BOOT,),
    ),
    "myth_tw_buckets": Row(
        "tcp_max_tw_buckets is no setting for ports",
        beliefs.myth_tw_buckets,
        (parts.SETTINGS, parts.BOOT),
    ),
    "myth_wide_range": Row(
        "1024-65535 is not for everyone", beliefs.myth_wide_range, (parts.SETTINGS,)
    ),
    "myth_count": Row(
        "The default range has 28,232 ports, for each destination",
        beliefs.myth_count,
        (parts.SETTINGS,),
    ),
}
"""By name; of two equally grave findings the one of the earlier row is told first."""

PAGES = {name: page(name) for name in FINDINGS}
"""The page of the documentation of each finding."""
