"""Alerts over time: what begins, lasts and ends, and what somebody is told now.

Rules of this file:

- pure: the alerts before and what is known now give the alerts after;
- an alert is known by its rule and its subject, which begins with the namespace;
- time is that of the boot; between two boots there is only the wall clock;
- nobody is told twice of the same, unless it lasts for ``repeat_s``; nobody is told
  of an end who was not told of the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from portroom.model.advice.alert_rules import UNSEEN, Case, Cases
from portroom.model.advice.alert_table import RULES, AlertRule, page, rule_named
from portroom.model.facts.answers import SEVERITIES
from portroom.model.facts.config import Alerts
from portroom.model.facts.sample import Instant
from portroom.model.facts.watched import FIRING, PENDING, RESOLVED, Alert, Watched
from portroom.model.laws.watched_keys import fresh, is_hidden

MOST_SUBJECTS = 5
"""Alerts of one rule and namespace: a list of a hundred full destinations helps nobody."""

ENDED_KEPT_S = 3600.0
"""For how long an alert that ended is still shown, and its end still sent."""

Identity = tuple[str, str]


class AlertsStep(NamedTuple):
    """All alerts after one look, and those of which somebody is to be told now."""

    alerts: tuple[Alert, ...]
    told: tuple[Alert, ...]


class _Scope(NamedTuple):
    """What one rule says of one namespace; "" is the host."""

    rule: AlertRule
    netns: str
    cases: Cases


def step(before: Sequence[Alert], watched: Watched, config: Alerts) -> AlertsStep:
    """
    Return the alerts after what is known now.

    Args:
        before: Those after the last look, perhaps of an earlier boot.
        watched: What is known; alerts in it are not looked at.
        config: Thresholds, and whom to tell what.
    """
    old = {identity(one): one for one in before}
    scopes = list(_scopes(watched, config))
    after = [alert for scope in scopes for alert in _of_scope(scope, old, watched.now, config)]
    seen = {(scope.rule.name, scope.netns) for scope in scopes}
    gone = [one for one in before if (one.name, one.netns) not in seen]
    after += filter(None, (_without_scope(one, watched) for one in gone))
    return _told(after, watched.now, config)


def identity(alert: Alert) -> Identity:
    """Return what tells an alert from all others."""
    return alert.name, alert.subject


def _scopes(watched: Watched, config: Alerts) -> Iterator[_Scope]:
    """Yield what each rule says, of each namespace or of the host."""
    # Two namespaces may have one name; what is said of either is said of it.
    named = {known.sample.netns.lasting_name: known for known in reversed(watched.namespaces)}
    seen = {id(known) for known in fresh(watched) if not is_hidden(known.sample)}
    for rule in RULES:
        if rule.of_host is not None:
            yield _Scope(rule, "", rule.of_host(watched, config))
        if rule.of_netns is not None:
            for name, known in named.items():
                is_unseen = rule.needs_keys and id(known) not in seen
                cases = UNSEEN if is_unseen else rule.of_netns(watched, known, config)
                yield _Scope(rule, name, cases)


def _of_scope(
    scope: _Scope, old: dict[Identity, Alert], now: Instant, config: Alerts
) -> Iterator[Alert]:
    """Yield the alerts of one rule about one namespace."""
    rule = scope.rule
    mine = {
        one.subject: one
        for one in old.values()
        if (one.name, one.netns) == (rule.name, scope.netns)
    }
    if scope.cases is None:
        yield from filter(None, (_unseen(one, rule.unseen_s, now) for one in mine.values()))
        return
    cases = {case.subject: case for case in _named(scope)}
    begun = _without_alert(cases, mine)
    for one in mine.values():
        # What begins anew takes the place of what ended.
        after = None if one.subject in begun else _next(one, cases, rule, now, config)
        if after is not None:
            yield after
    for case in begun.values():
        yield _begun(case, rule, scope.netns, now, config)


def _named(scope: _Scope) -> Iterator[Case]:
    """Yield the cases, each with the namespace before its subject."""
    for case in scope.cases or ():
        yield case._replace(subject=f"{scope.netns}: {case.subject}") if scope.netns else case


def _without_alert(cases: dict[str, Case], mine: dict[str, Alert]) -> dict[str, Case]:
    """Return the cases of which there is no alert yet, and is to be one."""
    lasting = {name for name, one in mine.items() if one.state != RESOLVED and name in cases}
    found = [case for case in cases.values() if case.begins and case.subject not in lasting]
    return {case.subject: case for case in found[: max(0, MOST_SUBJECTS - len(lasting))]}


def _begun(case: Case, rule: AlertRule, netns: str, now: Instant, config: Alerts) -> Alert:
    """Return a new alert; it fires at once where it need not last."""
    return Alert(
        name=rule.name,
        severity=rule.severity,
        subject=case.subject,
        summary=case.summary,
        state=PENDING if _for_s(rule, config) else FIRING,
        since=now,
        value=case.value,
        page=page(rule.name),
        netns=netns,
        seen=now,
    )


def _next(
    alert: Alert, cases: dict[str, Case], rule: AlertRule, now: Instant, config: Alerts
) -> Alert | None:
    """Return what becomes of an alert, None where nothing is left of it."""
    if alert.state == RESOLVED:
        return _kept(alert, now)
    case = cases.get(alert.subject)
    if case is None or (alert.state == PENDING and not case.begins):
        return _ended(alert, now)
    alert = msgspec.structs.replace(alert, summary=case.summary, value=case.value, seen=now)
    if alert.state == FIRING:
        return alert
    if alert.since.boot_id != now.boot_id:
        return msgspec.structs.replace(alert, since=now)
    has_lasted = _age_s(alert.since, now) >= _for_s(rule, config)
    return msgspec.structs.replace(alert, state=FIRING) if has_lasted else alert


def _for_s(rule: AlertRule, config: Alerts) -> float:
    """Return how long a rule's case has to last."""
    return config.for_s if rule.for_s is None else rule.for_s


def _ended(alert: Alert, now: Instant) -> Alert | None:
    """Return the end of an alert; one that never fired has none."""
    if alert.state == PENDING:
        return None
    return msgspec.structs.replace(alert, state=RESOLVED, ended=now)


def _kept(alert: Alert, now: Instant) -> Alert | None:
    """Return an alert that ended, for as long as it is shown."""
    return alert if _age_s(alert.ended or alert.since, now) < ENDED_KEPT_S else None


def _unseen(alert: Alert, unseen_s: float, now: Instant) -> Alert | None:
    """Return an alert that nobody could look at: it lasts for a while, whatever it was."""
    if alert.state == RESOLVED:
        return _kept(alert, now)
    age_s = _age_s(alert.seen or alert.since, now)
    return alert if age_s < unseen_s else _ended(alert, now)


def _without_scope(alert: Alert, watched: Watched) -> Alert | None:
    """Return an alert about a namespace that is not there, or could not be looked at."""
    rule = rule_named(alert.name)
    if rule is None:
        return None
    is_unknown = not watched.namespaces or watched.error or watched.namespaces_omitted
    if is_unknown:
        return _unseen(alert, rule.unseen_s, watched.now)
    return _kept(alert, watched.now) if alert.state == RESOLVED else _ended(alert, watched.now)


def _age_s(then: Instant, now: Instant) -> float:
    """Return the seconds between two moments, never less than none."""
    if then.boot_id != now.boot_id:
        return max(0.0, (now.at - then.at).total_seconds())
    return max(0.0, now.uptime_s - then.uptime_s)


def _told(alerts: Sequence[Alert], now: Instant, config: Alerts) -> AlertsStep:
    """Return the alerts, those marked of which somebody is told now."""
    firing = {identity(one) for one in alerts if one.state == FIRING}
    after = [_marked(one, firing, now, config) for one in alerts]
    changed = zip(alerts, after, strict=True)
    return AlertsStep(tuple(after), tuple(one for old, one in changed if one.told is not old.told))


def _marked(alert: Alert, firing: set[Identity], now: Instant, config: Alerts) -> Alert:
    """Return an alert, marked as told now where somebody has to be."""
    if not _is_due(alert, now, config) or _is_silenced(alert, firing):
        return alert
    return msgspec.structs.replace(alert, told=now, tellings=alert.tellings + 1)


def _is_due(alert: Alert, now: Instant, config: Alerts) -> bool:
    """Say whether an alert begins or ends for who is told, or has lasted long since."""
    if SEVERITIES.index(alert.severity) > SEVERITIES.index(config.least_severity):
        return False
    if alert.told is None:
        return alert.state == FIRING
    if alert.state == RESOLVED:
        return alert.ended is now
    return alert.state == FIRING and _age_s(alert.told, now) >= config.repeat_s


def _is_silenced(alert: Alert, firing: set[Identity]) -> bool:
    """Say whether a graver alert about the same thing fires."""
    if alert.state != FIRING:
        return False
    rule = rule_named(alert.name)
    return rule is not None and any((name, alert.subject) in firing for name in rule.silenced_by)
