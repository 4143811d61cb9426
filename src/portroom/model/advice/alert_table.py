"""Every rule of alerts, one row each, the gravest first."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from portroom.model.advice import alert_rules as look
from portroom.model.advice.alert_rules import Cases
from portroom.model.facts.answers import CRITICAL, INFO, WARNING
from portroom.model.facts.config import Alerts
from portroom.model.facts.watched import Known, Watched

PAGES = "docs/alerts"


class AlertRule(NamedTuple):
    """
    A rule: its name, severity and title, the function that looks, and Prometheus' name.

    One of ``of_netns`` and ``of_host`` is there: what is asked about each namespace, or
    about the host once. ``needs_keys`` says that it looks at the keys of the newest
    sample, which may be too old or hidden. ``silenced_by`` are graver rules: while one fires about the
    same thing, this one is not told. ``for_s`` is how long it has to last, None as
    configured; ``unseen_s`` for how long an alert outlasts that nobody can look.
    """

    name: str
    severity: str
    title: str
    prometheus: str
    of_netns: Callable[[Watched, Known, Alerts], Cases] | None = None
    of_host: Callable[[Watched, Alerts], Cases] | None = None
    needs_keys: bool = False
    silenced_by: tuple[str, ...] = ()
    for_s: float | None = None
    unseen_s: float = 3600.0


def page(name: str) -> str:
    """
    Return the page of an alert.

    >>> page("key_tight")
    'docs/alerts/key_tight.md'
    """
    return f"{PAGES}/{name}.md"


RULES: tuple[AlertRule, ...] = (
    AlertRule(
        "key_critical",
        CRITICAL,
        "A destination has hardly a port left",
        "PortroomKeyCritical",
        of_netns=look.above("critical_ratio"),
        needs_keys=True,
    ),
    AlertRule(
        "failed_connects",
        CRITICAL,
        "Connects fail for want of a local port",
        "PortroomFailedConnects",
        of_host=look.failed_connects,
        for_s=0.0,
        unseen_s=look.RECENT_S,
    ),
    AlertRule(
        "trial_overdue",
        CRITICAL,
        "A trial expired and was not taken back",
        "PortroomTrialOverdue",
        of_host=look.trial_overdue,
        for_s=0.0,
    ),
    AlertRule(
        "key_tight",
        WARNING,
        "A destination has few ports left",
        "PortroomKeyTight",
        of_netns=look.above("warning_ratio"),
        needs_keys=True,
        silenced_by=("key_critical",),
    ),
    AlertRule(
        "exhaustion_forecast",
        WARNING,
        "A destination will soon have no port left",
        "PortroomExhaustionForecast",
        of_netns=look.forecast,
        needs_keys=True,
        silenced_by=("key_critical",),
    ),
    AlertRule(
        "in_doubt",
        WARNING,
        "A destination may have few ports left, in doubt",
        "PortroomInDoubt",
        of_netns=look.in_doubt,
        needs_keys=True,
        silenced_by=("key_critical",),
    ),
    AlertRule(
        "drift",
        WARNING,
        "A setting is not what the next boot gives",
        "PortroomDrift",
        of_netns=look.drift,
    ),
    AlertRule(
        "collision",
        WARNING,
        "A listener stands inside the ephemeral range",
        "PortroomCollision",
        of_netns=look.collision,
    ),
    AlertRule(
        "change_broken_off",
        WARNING,
        "A change was broken off",
        "PortroomChangeBrokenOff",
        of_host=look.change_broken_off,
    ),
    AlertRule(
        "history_degraded",
        WARNING,
        "What is seen is not remembered",
        "PortroomHistoryDegraded",
        of_host=look.history_degraded,
    ),
    AlertRule(
        "sampling_failing",
        WARNING,
        "Samples cannot be taken",
        "PortroomSamplingFailing",
        of_host=look.sampling_failing,
        for_s=0.0,
    ),
    AlertRule(
        "key_half",
        INFO,
        "A destination is half full",
        "PortroomKeyHalf",
        of_netns=look.above("half_ratio"),
        needs_keys=True,
        silenced_by=("key_critical", "key_tight"),
    ),
    AlertRule(
        "trial_pending",
        INFO,
        "A change waits for its confirmation",
        "PortroomTrialPending",
        of_host=look.trial_pending,
        silenced_by=("trial_overdue",),
        for_s=0.0,
    ),
)
"""The gravest first: a rule comes after those that silence it."""
