"""Plan: what a change would write, and what to know before. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from portroom.api.keep import file_plan
from portroom.api.source import Live
from portroom.errors import ConflictError, NotSupportedError
from portroom.kernel import snapshot as reading
from portroom.kernel.columns import append_rows
from portroom.kernel.namespaces import find_again
from portroom.kernel.owners import read_owners
from portroom.kernel.rows import RowsQuery, read_rows
from portroom.kernel.saved_file import read_named
from portroom.kernel.snapshot import Wanted as Parts
from portroom.kernel.surroundings import read_surroundings
from portroom.kernel.trials import read_boot_id
from portroom.model.advice.plan import plan_change, values_to_persist
from portroom.model.advice.requests import Wanted, parse_words
from portroom.model.advice.staleness import staleness
from portroom.model.facts import plan_file as file_of_plans
from portroom.model.facts.boot import BootFacts
from portroom.model.facts.change import LIVE, ChangePlan, Request
from portroom.model.facts.gaps import Gap
from portroom.model.facts.snapshot import Counters, Owners, Settings, Snapshot
from portroom.model.facts.sockets import Owner, Protocol, TcpState
from portroom.model.laws.headroom import KeysWanted, find_keys

__all__ = ["kept_plan", "plan", "plan_file", "read_plan"]

HERE_ITSELF = Live()

TIGHTEST = 5
"""Keys whose owners are asked for their open files."""

HOLDING = frozenset({TcpState.LISTEN, TcpState.BOUND_INACTIVE})
"""States of a TCP socket that keeps a port for itself."""


def plan(words: Sequence[str], request: Request, source: Live = HERE_ITSELF) -> ChangePlan:
    """
    Plan a change of the settings of one namespace.

    Args:
        words: What to set, ``range=15000-64001``.
        request: The options; its words are taken from *words*.
        source: The kernel, in some namespace.

    Returns:
        The plan. What refuses it stands in its reasons.

    Raises:
        InvalidRequestError: A word is not understood, or names what is never set.
        NotPermittedError: The namespace may not be entered, or what there is of
            ours not be read.
        RefusedError: What lies in the place of our file is none that may be written.
    """
    wanted = parse_words(words)
    asked = msgspec.structs.replace(request, words=tuple(words))

    def job() -> tuple[Snapshot, ChangePlan]:
        """Read and plan inside the namespace."""
        read = _read(source)
        around = read_surroundings(read.netns, _owners_of_keys(read))
        return read, plan_change(read, wanted, asked, around)

    read, planned = source.run(job)
    if asked.where == LIVE or planned.refusals:
        return planned
    return _kept(planned, read, wanted)


def plan_file(plans: Sequence[ChangePlan]) -> bytes:
    """Return the file of some plans, for ``read_plan``."""
    return file_of_plans.encode(plans)


def read_plan(path: str) -> tuple[ChangePlan, ...]:
    """
    Return the plans of a file, made anew: what is written never comes from a file.

    Args:
        path: As the user named it.

    Raises:
        ConflictError: This host is not, or no longer, what it was made from.
        PortroomError: As ``kept_plan``.
    """
    return tuple(_anew(one, _told(path)) for one in kept_plan(path))


def kept_plan(path: str) -> tuple[ChangePlan, ...]:
    """
    Return the plans of a file as they were made, however long ago.

    Args:
        path: As the user named it.

    Raises:
        InvalidRequestError: There is no such file, or it is no plan.
        RefusedError: It was edited.
        NotPermittedError: It may not be read.
    """
    owners = "Its owner alone may read it."
    content = read_named(path, _told(path), owners, file_of_plans.FILE_BYTES)
    return file_of_plans.decode(content, path)


def _told(path: str) -> str:
    """Return what a plan is called in a sentence."""
    return f"The plan {path!r}"


def _anew(old: ChangePlan, told: str) -> ChangePlan:
    """Return the plan that would be made now, which must be the old one but for its date."""
    if old.boot_id != read_boot_id():
        raise _stale(f"{told} was made on another host, or before the last boot")
    found = find_again(old.netns)
    if found is None:
        raise _stale(f"{told} is for the network namespace {old.netns.name!r}, which is gone")
    now = plan(old.request.words, old.request, Live(found))
    if now.refusals:
        return now
    differ = staleness(old, now)
    if differ:
        where = "" if old.netns.kind == "host" else f" for the network namespace {old.netns.name!r}"
        what = "was made from other values or files than there are now"
        raise _stale(f"{told}{where} {what}: {'; '.join(differ)}")
    return now


def _stale(what: str) -> ConflictError:
    """Return the error for a plan that does not fit any more."""
    return ConflictError(f"{what}. Nothing was written.", "Make it again with `portroom plan`.")


# What is read.


def _read(source: Live) -> Snapshot:
    """Read who holds which ports and who listens, and, of a host, what decides at boot."""
    boots_here = source.known is None or source.known.kind == "host"
    read = _with_holders(source.take(Parts(groups=True, all_ports=True, boot=boots_here)))
    counters = read.counters
    if (
        isinstance(counters, Counters)
        and counters.tcp_inuse + counters.tcp6_inuse > reading.KEY_OWNERS_UP_TO
    ):
        return read
    return _with_key_owners(read)


def _with_holders(read: Snapshot) -> Snapshot:
    """Return a Snapshot with each socket that holds a port for itself, and its owners."""
    try:
        listening = read_rows(RowsQuery((Protocol.TCP,), HOLDING))
        datagrams = read_rows(RowsQuery((Protocol.UDP,)))
    except OSError as error:
        gap = Gap("sock_diag", f"could not be read: {error.strerror}", ("collisions",))
        return msgspec.structs.replace(read, rows=gap)
    rows = listening.rows
    append_rows(rows, datagrams.rows)
    owners, complete = read_owners(set(rows.inode), netns_inode=read.netns.inode)
    return msgspec.structs.replace(
        read,
        rows=rows,
        owners=Owners(by_inode=owners, complete=complete),
        gaps=(*read.gaps, *listening.gaps, *datagrams.gaps),
    )


def _with_key_owners(read: Snapshot) -> Snapshot:
    """Return a Snapshot with the owners of its tightest keys too."""
    settings, owners = read.settings, read.owners
    if isinstance(settings, Gap) or isinstance(owners, Gap):
        return read
    tightest = find_keys(read, KeysWanted(limit=TIGHTEST)).measured
    found = reading.read_key_owners(tightest, settings.ephemeral, read.netns)
    if isinstance(found, Gap):
        return read
    both = Owners(found.by_key, owners.by_inode, owners.complete and found.complete)
    return msgspec.structs.replace(read, owners=both)


def _owners_of_keys(read: Snapshot) -> list[Owner]:
    """Return the processes behind the tightest keys, each once."""
    if isinstance(read.owners, Gap):
        return []
    owners = [owner for key in read.owners.by_key for owner in key.owners]
    return list({(one.pid, one.start_time): one for one in owners}.values())


# How it is kept.


def _kept(planned: ChangePlan, read: Snapshot, wanted: tuple[Wanted, ...]) -> ChangePlan:
    """Return a plan with the file that makes it hold at the next boot."""
    facts, settings = read.boot, read.settings
    if not isinstance(facts, BootFacts) or not isinstance(settings, Settings):
        reason = facts.reason if isinstance(facts, Gap) else "the settings are not known"
        raise NotSupportedError.changing(
            f"What decides at the next boot could not be read: {reason}.",
            "Leave out `--persist`.",
        )
    values = values_to_persist(planned, wanted, settings)
    found = file_plan(facts, values, planned.request, planned.taken_at)
    on_trial = planned.request.trial_s > 0
    return msgspec.structs.replace(
        planned,
        # A trial is kept once it is confirmed: a reboot takes it back as well.
        steps=planned.steps if on_trial else (*planned.steps, *found.steps),
        persistence=found.persistence,
        reasons=(*planned.reasons, *found.reasons),
    )
