"""What alerts there are, by the configuration that holds: the answer of `portroom alerts`."""

from __future__ import annotations

import msgspec

from portroom.model.facts.answers import Answer


class AlertRuleTold(msgspec.Struct, frozen=True):
    """
    A rule, with the thresholds that hold.

    ``when`` is a clause with its threshold, ``for_s`` for how long that has to last.
    ``is_on`` says whether it is looked at, ``is_sent`` whether it is sent to anybody.
    ``prometheus`` is the rule of the same meaning in the rules for Prometheus, ``page``
    the page of the documentation.
    """

    name: str
    severity: str
    title: str
    when: str
    for_s: float
    is_on: bool
    is_sent: bool
    prometheus: str
    page: str


class AlertRules(Answer, frozen=True, kw_only=True):
    """
    The rules of alerts, the gravest first, and where alerts go.

    ``addresses`` are the kinds of the addresses to notify, such as ``mailto``, never
    the addresses, which hold passwords.
    """

    rules: tuple[AlertRuleTold, ...]
    addresses: tuple[str, ...]
