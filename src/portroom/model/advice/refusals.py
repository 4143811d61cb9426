"""Why a change is refused: the kernel would, or it leaves too few ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from portroom.model.advice.draft import Draft
from portroom.model.advice.order import Blocked, first_blocked, steps_between
from portroom.model.advice.reasons import reason
from portroom.model.advice.spelling import as_typed
from portroom.model.advice.wording import count
from portroom.model.facts.change import LIVE, Reason
from portroom.model.facts.ports import PortRange
from portroom.model.facts.settings import setting_named
from portroom.model.laws.acceptance import RANGE_KEY, START_KEY
from portroom.model.laws.boot_reach import barred

FEW_PORTS = 1024
"""Eligible ports below which a range is most often a slip."""


def refusals(change: Draft) -> list[Reason]:
    """Return every refusal of a draft but those about collisions."""
    return [one for rule in RULES for one in rule(change)]


def _not_supported(change: Draft) -> Iterator[Reason]:
    """Refuse settings that the kernel does not have."""
    for one in change.wanted:
        if one.setting.key not in change.before.values:
            yield reason(
                "not_supported",
                f"{one.setting.key} does not exist here: {one.setting.absent}.",
            )


def _blocked(change: Draft) -> Iterator[Reason]:
    """Refuse what the kernel would refuse, and name the setting that blocks."""
    steps = steps_between(change.read.netns, change.before, change.after)
    blocked = first_blocked(steps, change.before)
    if blocked:
        name = setting_named(blocked.key).name
        value = as_typed(change.after.values[blocked.key])
        by = f" {setting_named(blocked.by).name} is in the way:" if blocked.by else ""
        yield reason(
            "blocked",
            f"The kernel would refuse {name}={value}.{by} {blocked.reason}.",
            _way_out(change, blocked),
        )


def _way_out(change: Draft, blocked: Blocked) -> str:
    """Return both settings as they go together, "" where that does not help."""
    if {blocked.key, blocked.by} != {RANGE_KEY, START_KEY}:
        return ""
    ephemeral, start = change.after.ephemeral, change.after.number(START_KEY, 0)
    if blocked.key == RANGE_KEY:
        start = ephemeral.first
    elif start <= ephemeral.last:
        ephemeral = PortRange(start, ephemeral.last)
    else:
        return ""
    return f"Set both: range={ephemeral} {setting_named(START_KEY).name}={start}."


def _few_ports(change: Draft) -> Iterator[Reason]:
    """Refuse what leaves too few ports to choose from."""
    before, after = change.eligible_ports
    if not change.changes_choice or after >= FEW_PORTS or (after == before and after):
        return
    if not after:
        yield reason(
            "no_ports",
            "No port would be left for the kernel to choose: every connect() would fail.",
            request=change.request,
        )
        return
    yield reason(
        "few_ports",
        f"Only {count(after, 'port')} would be left to choose from, of {before:,} now; "
        f"fewer than {FEW_PORTS:,} are most often a slip.",
        request=change.request,
    )


def _files(change: Draft) -> Iterator[Reason]:
    """Refuse to persist where the files of this host do not reach."""
    if change.request.where == LIVE:
        return
    keys = [one.setting.key for one in change.wanted]
    why = dict.fromkeys(barred(change.read, keys, looked=True).values())
    for one in why:
        yield reason(
            "files_do_not_reach",
            f"A file in /etc/sysctl.d would not keep it: {one.partition(': ')[2] or one}.",
            "Set it without --persist, and where the namespace is made.",
        )


RULES: tuple[Callable[[Draft], Iterator[Reason]], ...] = (
    _not_supported,
    _blocked,
    _few_ports,
    _files,
)
"""The rules, in the order in which they are told."""
