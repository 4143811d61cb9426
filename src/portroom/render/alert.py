"""Alerts as a message to somebody far away: a title, and a body of plain text.

Rules of this file: a message is read on a telephone at night: what, where, how much,
and what to do come first. All that comes from the host is hostile text: it is made
printable, and an ``@`` calls nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from portroom.model.advice.alert_table import rule_named
from portroom.model.facts.answers import SEVERITIES
from portroom.model.facts.watched import FIRING, RESOLVED, Alert
from portroom.render.units import Style, cut, instant, plural, printable

MOST_TOLD = 10
"""Alerts that one message tells in full."""

LONGEST_TEXT = 500
LONGEST_TITLE = 200

ENDED = "resolved"

OVER = "success"


class Message(NamedTuple):
    """A title, a body, and how grave it is: a severity, or OVER where all of it ended."""

    title: str
    body: str
    severity: str


def as_message(alerts: Sequence[Alert], host: str) -> Message:
    """
    Return one message about some alerts, the gravest first.

    Args:
        alerts: At least one; those that fire, and those that ended.
        host: Whose alerts they are.
    """
    order = sorted(alerts, key=_gravity)
    severity = order[0].severity if order[0].state == FIRING else OVER
    blocks = [_block(one) for one in order[:MOST_TOLD]]
    if more := len(order) - MOST_TOLD:
        blocks += [f"And {more:,} more: portroom status tells them."] if more > 0 else []
    return Message(_title(order, host), "\n\n".join(blocks) + "\n", severity)


def trial_message(host: str, version: str) -> Message:
    """Return the message of `portroom alerts test`."""
    name = _plain(host, LONGEST_TITLE)
    return Message(
        f"[test] {name}: portroom can reach you",
        f"portroom {version} on {name} sends alerts here. Nothing is wrong; "
        "somebody ran portroom alerts test.\n",
        "info",
    )


def _title(order: Sequence[Alert], host: str) -> str:
    """Return the gravest in a few words, and how many there are besides."""
    first = order[0]
    more = f" (and {plural(len(order) - 1, 'other')})" if len(order) > 1 else ""
    title = f"[{_word(first)}] {_plain(host, 80)}: {rule_title(first)}{more}"
    return _plain(title, LONGEST_TITLE)


def _block(alert: Alert) -> str:
    """Return an alert in full: what, where, how much, since when, and where to read on."""
    lines = [
        f"{_word(alert).upper()}: {rule_title(alert)}",
        f"{_plain(alert.subject, LONGEST_TEXT)}",
        _plain(alert.summary, LONGEST_TEXT),
        _when(alert),
        f"What to do: {alert.page}",
    ]
    return "\n".join(line for line in lines if line)


def _when(alert: Alert) -> str:
    """Return since when it is so, and until when it was."""
    if alert.state == RESOLVED and alert.ended is not None:
        return f"From {instant(alert.since.at)} to {instant(alert.ended.at)}; it is over."
    again = f", told {alert.tellings} times" if alert.tellings > 1 else ""
    return f"Since {instant(alert.since.at)}{again}."


def rule_title(alert: Alert) -> str:
    """Return the title of an alert's rule."""
    rule = rule_named(alert.name)
    return rule.title if rule else _plain(alert.name, LONGEST_TITLE)


def _gravity(alert: Alert) -> tuple[bool, int]:
    """Return the order of alerts: what fires first, and of that the gravest."""
    known = alert.severity in SEVERITIES
    return alert.state != FIRING, SEVERITIES.index(alert.severity) if known else len(SEVERITIES)


def _word(alert: Alert) -> str:
    """Return how grave an alert is, or that it is over."""
    return ENDED if alert.state == RESOLVED else alert.severity


def _plain(text: str, longest: int) -> str:
    r"""
    Return hostile text that neither acts nor calls anybody, and not too long.

    >>> _plain("@everyone\n<b>", 80)
    '(at)everyone\\x0a<b>'
    """
    return cut(printable(text).replace("@", "(at)"), longest, Style())
