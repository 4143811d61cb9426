"""Explain: every cause of a failure, judged on a scene, what is found first."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from portroom.model.advice.causes.addresses import (
    address_not_local,
    no_source_address,
    tuple_clash,
)
from portroom.model.advice.causes.limits import firewall_refuses, open_files, unix_backlog_full
from portroom.model.advice.causes.local_pools import bind0_pool_full, udp_pool_full
from portroom.model.advice.causes.namespace import other_namespace
from portroom.model.advice.causes.narrowed import narrowed_range
from portroom.model.advice.causes.ports import key_full, ports_blocked
from portroom.model.advice.causes.table import CAUSES
from portroom.model.advice.causes.taken import port_held_by_outgoing, port_taken
from portroom.model.advice.causes.tracking import conntrack_full, snat_exhausted
from portroom.model.advice.causes.unanswered import accept_queue_full, no_answer
from portroom.model.facts.explanation import (
    FOUND,
    POSSIBLE,
    VERDICTS,
    Cause,
    ExplainQuestion,
)
from portroom.model.facts.scene import Scene

Rule = Callable[[ExplainQuestion, Scene], Cause | None]

RULES: Mapping[str, Rule] = {
    "key_full": key_full,
    "ports_blocked": ports_blocked,
    "narrowed_range": narrowed_range,
    "tuple_clash": tuple_clash,
    "address_not_local": address_not_local,
    "no_source_address": no_source_address,
    "bind0_pool_full": bind0_pool_full,
    "udp_pool_full": udp_pool_full,
    "port_taken": port_taken,
    "port_held_by_outgoing": port_held_by_outgoing,
    "conntrack_full": conntrack_full,
    "snat_exhausted": snat_exhausted,
    "accept_queue_full": accept_queue_full,
    "no_answer": no_answer,
    "firewall_refuses": firewall_refuses,
    "open_files": open_files,
    "unix_backlog_full": unix_backlog_full,
    "other_namespace": other_namespace,
}
"""The rule of each cause, in the order of the table."""

WITHOUT_POOLS = (
    "tuple_clash",
    "address_not_local",
    "no_source_address",
    "port_taken",
    "port_held_by_outgoing",
    "unix_backlog_full",
)
"""Causes that fail before, or without, a search for a port."""


def explain(asked: ExplainQuestion, scene: Scene) -> tuple[Cause, ...]:
    """
    Return every cause of the errno that is asked about, or of any: found ones first.

    Args:
        asked: What fails.
        scene: What was read of the namespace in which it fails.
    """
    causes = {
        name: cause
        for name, row in CAUSES.items()
        if asked.error is None or asked.error in row.errors
        if (cause := RULES[name](asked, scene)) is not None
    }
    if asked.error and any(_is_sure(causes.get(name)) for name in WITHOUT_POOLS):
        _drop_doubt(causes)
    return tuple(
        sorted(causes.values(), key=lambda one: (VERDICTS.index(one.verdict), _later(one)))
    )


def _is_sure(cause: Cause | None) -> bool:
    """Say whether a cause is found."""
    return cause is not None and cause.verdict == FOUND


def _drop_doubt(causes: dict[str, Cause]) -> None:
    """Leave out that a pool elsewhere may be full, where the failure has a sure cause."""
    elsewhere = causes.get("other_namespace")
    if elsewhere is not None and elsewhere.verdict == POSSIBLE:
        del causes["other_namespace"]


def _later(cause: Cause) -> bool:
    """Say whether a cause is told after others: a full key of ports that are mostly blocked."""
    if cause.name != "key_full":
        return False
    numbers = {name: int(figure) for name, figure in cause.numbers.items()}
    own, both = numbers.get("own_ports", 0), numbers.get("own_blocked_ports", 0)
    return numbers.get("blocked_ports", 0) > own - both
