"""From what is wanted and what was read to the ChangePlan.

Rules of this file: it decides nothing about ports, it calls what does and puts
the parts together; a plan that is refused is as whole as any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from portroom.model.advice import capacity, durable, limits
from portroom.model.advice.cautions import cautions
from portroom.model.advice.colliding import as_collisions, held_reasons, reasons_of
from portroom.model.advice.collisions import Occupied, collisions, proposal
from portroom.model.advice.draft import Draft, choice, draft, values_after
from portroom.model.advice.held import held_now
from portroom.model.advice.occupied import occupied, unseen
from portroom.model.advice.order import in_file_order, ordered, steps_between
from portroom.model.advice.refusals import refusals
from portroom.model.advice.requests import Wanted
from portroom.model.advice.suggestion import better_range
from portroom.model.facts.answers import RangeEnds
from portroom.model.facts.change import (
    NOTE,
    PERSIST_ONLY,
    REFUSAL,
    WARNING,
    ChangePlan,
    HeldPort,
    Reason,
    Request,
    SettingChange,
    SettingStep,
)
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortSet
from portroom.model.facts.settings import SETTINGS, kernel_text, setting_named
from portroom.model.facts.snapshot import Settings, Snapshot
from portroom.model.facts.surroundings import Surroundings
from portroom.model.laws.acceptance import RESERVED_KEY
from portroom.model.laws.setting_states import answer_value

SEVERITIES = (REFUSAL, WARNING, NOTE)

FRESH = Settings({row.key: row.default for row in SETTINGS if row.default is not None})
"""What a kernel holds that just booted, as far as it does not depend on the machine."""


def plan_change(
    read: Snapshot, wanted: tuple[Wanted, ...], request: Request, around: Surroundings
) -> ChangePlan:
    """
    Return what would be written, why it may not be, and what to know before.

    Args:
        read: With ``settings``; with ``groups`` of all ports, and ``rows`` and
            ``owners`` of listeners, bound and UDP sockets, as far as they can
            be read.
        wanted: What is asked for, from ``requests.parse_words``.
        request: The words as they were typed, and the options.
        around: What else counts on ports, and which limits are near.

    Raises:
        KernelDataError: The Snapshot has no settings.
    """
    found = _weigh(draft(read, wanted, request, around))
    change = found.change
    return ChangePlan(
        host=read.host,
        taken_at=read.taken_at,
        netns=read.netns,
        gaps=_gaps(read, around),
        boot_id=read.boot_id,
        request=request,
        changes=_changes(change),
        steps=_live_steps(change),
        capacity=capacity.capacity(change),
        tightest=capacity.tightest(change),
        collisions=as_collisions(found.collisions, change),
        reserved_proposal=found.proposed,
        suggestion=_suggestion(change, found.there),
        held_now=found.held,
        reasons=_reasons(found),
        limits=limits.limits(change),
        durable=durable.durable(around.workload, kept_values(change)),
    )


class _Weighed(NamedTuple):
    """
    A change as it would be made, and what counts on ports.

    ``there`` is everything that does, ``collisions`` what the range newly takes
    in; ``proposed`` is the list that keeps these away, "" for none, and ``held``
    are its ports that a connection has now.
    """

    change: Draft
    there: tuple[Occupied, ...]
    collisions: tuple[Occupied, ...]
    proposed: str
    held: tuple[HeldPort, ...]


def _weigh(asked: Draft) -> _Weighed:
    """Return what is asked for against what counts on ports, with these reserved if asked."""
    there = tuple(occupied(asked.read, asked.around))
    found = tuple(collisions(choice(asked.before), choice(asked.after), there))
    kept = proposal(asked.after.reserved, found)
    return _Weighed(
        change=asked.reserving(kept) if asked.reserves else asked,
        there=there,
        collisions=found,
        proposed=_proposed(kept, asked, found),
        held=held_now(asked.read, frozenset(kept - asked.before.reserved)),
    )


def _live_steps(change: Draft) -> tuple[SettingStep, ...]:
    """Return the writes to the kernel, in an order that is safe."""
    if change.request.where == PERSIST_ONLY:
        return ()
    return steps_between(change.read.netns, change.before, change.after)


def _reasons(found: _Weighed) -> tuple[Reason, ...]:
    """Return why a change is refused and what to know before it, the gravest first."""
    change = found.change
    reasons = [
        *refusals(change),
        *reasons_of(found.collisions, change),
        *cautions(change),
        *held_reasons(found.held),
    ]
    return tuple(sorted(reasons, key=lambda one: SEVERITIES.index(one.severity)))


def values_to_persist(
    plan: ChangePlan, wanted: tuple[Wanted, ...], now: Settings
) -> dict[str, str]:
    """
    Return what a file must say for a plan to hold at boot, in the order of writing.

    It has every wanted setting, also those that have the value already, and
    what ``--reserve`` added.

    Args:
        plan: Made from *wanted* and *now*.
        wanted: What was asked for.
        now: The settings that the plan was made from.

    Returns:
        Canonical text by sysctl, "" for an empty list.
    """
    values = values_after(now, wanted)
    for one in plan.changes:
        if one.key == RESERVED_KEY:
            values[one.key] = PortSet.parse(str(one.after))
    return in_file_order(values, FRESH)


def kept_values(change: Draft) -> dict[str, str]:
    """Return all values that are wanted as canonical text, changed ones in the order of writing."""
    wanted = [one.setting.key for one in change.wanted if one.setting.key in change.before.values]
    keys = dict.fromkeys([*ordered(change.before, change.after), *wanted])
    return {key: kernel_text(change.after.values[key]) for key in keys}


def _changes(change: Draft) -> tuple[SettingChange, ...]:
    """Return the settings that get another value, in the order of writing."""
    return tuple(
        SettingChange(
            setting_named(key).name,
            key,
            answer_value(change.before.values[key]),
            answer_value(change.after.values[key]),
        )
        for key in ordered(change.before, change.after)
    )


def _proposed(kept: PortSet, asked: Draft, found: Iterable[Occupied]) -> str:
    """Return the proposed list as text, "" where nothing is to be kept away."""
    return str(kept) if found and kept != asked.after.reserved else ""


def _suggestion(change: Draft, there: Iterable[Occupied]) -> RangeEnds | None:
    """Return a range of different parity in place of one of the same, if there is one."""
    better = better_range(change, there)
    return RangeEnds(better.first, better.last) if better else None


def _gaps(read: Snapshot, around: Surroundings) -> tuple[Gap, ...]:
    """Return what could not be looked at, and what that makes uncertain."""
    missing = unseen(read)
    sockets = (Gap(missing.source, missing.reason, ("collisions", "tightest")),) if missing else ()
    return (*read.gaps, *sockets, *around.gaps)
