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
from portroom.model.facts.explanation import VERDICTS, Cause, ExplainQuestion
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


def explain(asked: ExplainQuestion, scene: Scene) -> tuple[Cause, ...]:
    """
    Return every cause of the errno that is asked about, or of any: found ones first.

    Args:
        asked: What fails.
        scene: What was read of the namespace in which it fails.
    """
    causes = [
        cause
        for name, row in CAUSES.items()
        if asked.error is None or asked.error in row.errors
        if (cause := RULES[name](asked, scene)) is not None
    ]
    return tuple(sorted(causes, key=lambda cause: VERDICTS.index(cause.verdict)))
