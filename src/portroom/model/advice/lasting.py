"""How long a value lasts that is only written to the kernel, and what comes after it."""

from __future__ import annotations

from collections.abc import Iterator

from portroom.model.advice.draft import Draft
from portroom.model.advice.reasons import reason
from portroom.model.advice.spelling import as_typed
from portroom.model.advice.wording import listed
from portroom.model.facts.change import LIVE, PERSIST_ONLY, Reason
from portroom.model.facts.settings import SETTINGS
from portroom.model.laws.drift import prospects


def lasting(change: Draft) -> Iterator[Reason]:
    """Note when the value of a change ends."""
    request = change.request
    if request.where == PERSIST_ONLY or change.before == change.after:
        return
    if request.trial_s:
        yield reason(
            "ends_with_trial",
            f"The value is put back {request.trial_s} s after it is written, "
            "unless it is confirmed before.",
        )
    elif request.where == LIVE and _is_of_a_host(change):
        yield from _until_boot(change)
    elif request.where == LIVE:
        yield reason(
            "ends_with_namespace",
            f"The value ends with the network namespace {change.read.netns.name}.",
        )


def _is_of_a_host(change: Draft) -> bool:
    """Say whether a namespace ends with a boot, and not with a container or pod."""
    return change.around.workload is None and change.read.netns.kind == "host"


def _until_boot(change: Draft) -> Iterator[Reason]:
    """Note what the next boot does not give, and which lines give something else."""
    changed = [row for row in SETTINGS if change.changes(row.key)]
    ahead = prospects(change.read, changed).by_name
    lost = [row for row in changed if ahead[row.name].gives != change.after.values[row.key]]
    if not lost:
        return
    given = [
        f"{row.name} {as_typed(one.persisted)} ({one.at.file}:{one.at.line})"
        for row, one in ((row, ahead[row.name]) for row in lost)
        if one.persisted is not None and one.at is not None
    ]
    whose = "" if lost == changed else f" of {listed([row.name for row in lost])}"
    gives = f", which gives {listed(given)}" if given else ""
    yield reason(
        "lost_at_boot",
        f"The value{whose} lasts until the next boot{gives}.",
        "Add --persist to keep it.",
    )
