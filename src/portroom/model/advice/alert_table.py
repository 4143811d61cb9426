"""Every rule of alerts, one row each, the gravest first."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec import structs

from portroom.model.advice import alert_rules as look
from portroom.model.advice.alert_rules import Cases
from portroom.model.facts.alert_rules import AlertRuleTold
from portroom.model.facts.answers import CRITICAL, INFO, SEVERITIES, WARNING
from portroom.model.facts.config import Alerts
from portroom.model.facts.watched import Known, Watched

PAGES = "docs/alerts"


class AlertRule(NamedTuple):
    """
    A rule: its name, severity and title, the function that looks, and Prometheus' name.

    One of ``of_netns`` and ``of_host`` is there: what is asked about each namespace, or
    about the host once. ``when`` is a clause about its threshold, with fields of the
    configuration. ``needs_keys`` says that it looks at the keys of the newest
    sample, which may be too old or hidden. ``silenced_by`` are graver rules: while one fires about the
    same thing, this one is not told. ``for_s`` is how long it has to last, None as
    configured; ``unseen_s`` for how long an alert outlasts that nobody can look.
    """

    name: str
    severity: str
    title: str
    when: str
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
        "a key is {critical_ratio:g} full or more",
        "PortroomKeyCritical",
        of_netns=look.above("critical_ratio"),
        needs_keys=True,
    ),
    AlertRule(
        "failed_connects",
        CRITICAL,
        "Connects fail for want of a local port",
        "a connect or bind found no port",
        "PortroomFailedConnects",
        of_host=look.failed_connects,
        for_s=0.0,
        unseen_s=look.RECENT_S,
    ),
    AlertRule(
        "trial_overdue",
        CRITICAL,
        "A trial expired and was not taken back",
        "a trial expired and still stands",
        "PortroomTrialOverdue",
        of_host=look.trial_overdue,
        for_s=0.0,
    ),
    AlertRule(
        "key_tight",
        WARNING,
        "A destination has few ports left",
        "a key is {warning_ratio:g} full or more",
        "PortroomKeyTight",
        of_netns=look.above("warning_ratio"),
        needs_keys=True,
        silenced_by=("key_critical",),
    ),
    AlertRule(
        "exhaustion_forecast",
        WARNING,
        "A destination will soon have no port left",
        "a key is foreseen full within {forecast_s:g} s",
        "PortroomExhaustionForecast",
        of_netns=look.forecast,
        needs_keys=True,
        silenced_by=("key_critical",),
    ),
    AlertRule(
        "in_doubt",
        WARNING,
        "A destination may have few ports left, in doubt",
        "a key may be {warning_ratio:g} full, in doubt",
        "PortroomInDoubt",
        of_netns=look.in_doubt,
        needs_keys=True,
        silenced_by=("key_critical",),
    ),
    AlertRule(
        "drift",
        WARNING,
        "A setting is not what the next boot gives",
        "the next boot gives another value",
        "PortroomDrift",
        of_netns=look.drift,
    ),
    AlertRule(
        "collision",
        WARNING,
        "A listener stands inside the ephemeral range",
        "somebody listens inside the range",
        "PortroomCollision",
        of_netns=look.collision,
    ),
    AlertRule(
        "change_broken_off",
        WARNING,
        "A change was broken off",
        "a crash left a change half done",
        "PortroomChangeBrokenOff",
        of_host=look.change_broken_off,
    ),
    AlertRule(
        "history_degraded",
        WARNING,
        "What is seen is not remembered",
        "samples cannot be written down",
        "PortroomHistoryDegraded",
        of_host=look.history_degraded,
    ),
    AlertRule(
        "sampling_failing",
        WARNING,
        "Samples cannot be taken",
        "three samples in a row were missed",
        "PortroomSamplingFailing",
        of_host=look.sampling_failing,
        for_s=0.0,
    ),
    AlertRule(
        "key_half",
        INFO,
        "A destination is half full",
        "a key is {half_ratio:g} full or more",
        "PortroomKeyHalf",
        of_netns=look.above("half_ratio"),
        needs_keys=True,
        silenced_by=("key_critical", "key_tight"),
    ),
    AlertRule(
        "trial_pending",
        INFO,
        "A change waits for its confirmation",
        "a change waits to be confirmed",
        "PortroomTrialPending",
        of_host=look.trial_pending,
        silenced_by=("trial_overdue",),
        for_s=0.0,
    ),
)
"""The gravest first: a rule comes after those that silence it."""


def rule_named(name: str) -> AlertRule | None:
    """
    Return a rule by its name, None where there is none.

    >>> rule_named("drift").prometheus
    'PortroomDrift'
    """
    return next((rule for rule in RULES if rule.name == name), None)


def told(rule: AlertRule, config: Alerts) -> AlertRuleTold:
    """Return a rule with the thresholds that a configuration gives it."""
    is_on = getattr(config, rule.name, True) is not False
    is_grave = SEVERITIES.index(rule.severity) <= SEVERITIES.index(config.least_severity)
    return AlertRuleTold(
        name=rule.name,
        severity=rule.severity,
        title=rule.title,
        when=rule.when.format(**structs.asdict(config)),
        for_s=config.for_s if rule.for_s is None else rule.for_s,
        is_on=is_on,
        is_sent=is_on and is_grave,
        prometheus=rule.prometheus,
        page=page(rule.name),
    )
