"""How `set` and `apply` carry a plan out: show it, ask, write, tell what became of it.

Rules of this file:

- nothing is written before the plan was told whole: who cannot read it may not
  want it;
- what was written is told even where standard output takes nothing any more, and
  the exit status is that of the change.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from portroom.cli.output import as_data, style, talk, tell, tell_gaps, write
from portroom.errors import NotPermittedError, NotSupportedError, RefusedError, WriteError

if TYPE_CHECKING:
    from portroom.api.source import Source
    from portroom.model.facts.change import ChangePlan, Request
    from portroom.model.facts.journal import Changed
    from portroom.model.facts.trial import PendingTrial

PEOPLE = frozenset({"table", "wide"})
"""The formats for people; the others are for programs."""

YES = frozenset({"y", "yes"})

HOW_TO_TRY = "this terminal is remote: --try takes the change back by itself if it cuts you off."


def plans_for(
    words: Sequence[str], request: Request, sources: Sequence[Source]
) -> list[ChangePlan]:
    """
    Return the plan of each namespace.

    Raises:
        PortroomError: No namespace could be planned for.
    """
    from portroom.api import plan as planning
    from portroom.api.source import Live
    from portroom.cli.options import ask

    def planned(one: Source) -> ChangePlan:
        """Return the plan of one namespace."""
        assert isinstance(one, Live)
        return planning.plan(words, request, one)

    return ask(sources, planned)


@contextlib.contextmanager
def as_change() -> Iterator[None]:
    """Let what cannot be read end as a change that was not made, where one was asked for."""
    try:
        yield
    except (NotPermittedError, NotSupportedError) as error:
        raise type(error).changing(error.message, error.hint) from None


def tell_plans(plans: Sequence[ChangePlan], output: str, plain: bool, *, as_table: bool) -> None:
    """
    Show the plans before anything is written, in the formats for people.

    Raises:
        WriteError: Nobody would read them.
    """
    if output not in PEOPLE:
        return
    from portroom.render import changed as screen

    look = style(plain=plain, wide=output == "wide")
    try:
        tell(screen.before(plans, look, as_table=as_table), look)
    except BrokenPipeError:
        raise WriteError(
            "Nobody reads standard output, so the plan was not told and nothing was written."
        ) from None


def tell_changed(changed: Changed, output: str, plain: bool, *, dry_run: bool = False) -> None:
    """
    Show what was done; where nobody takes it, stderr has the entry of the journal.

    Raises:
        WriteError, BrokenPipeError: Nobody takes it, and nothing was done.
    """
    from portroom.render import changed as screen

    look = style(plain=plain, wide=output == "wide")
    pending = _pending(changed) if dry_run else ()
    with told_anyway(changed.entry.number if changed.entry else None):
        if output in PEOPLE:
            tell(screen.happened(changed, look, dry_run=dry_run, pending=pending), look)
            return
        write(as_data([changed], screen, output, all_netns=False).encode())
    beside = screen.refused_by(pending)
    if output == "csv":
        tell_gaps(changed.plans, output)
        beside.append(screen.outcome(changed))
    for sentence in filter(None, beside):
        talk(sentence)


def _pending(changed: Changed) -> tuple[PendingTrial, ...]:
    """Return the trials that would refuse a change."""
    from portroom.api.journal import pending_in

    return pending_in(one.netns for one in changed.plans if one.steps)


@contextlib.contextmanager
def told_anyway(number: int | None) -> Iterator[None]:
    """
    Tell on stderr what was done, where standard output takes no report of it.

    The exit status stays that of the change: it was made, whoever reads of it.

    Args:
        number: The entry of the journal, None where nothing was done.
    """
    try:
        yield
    except (WriteError, BrokenPipeError):
        if number is None:
            raise
        from portroom.cli.files import discard_output

        discard_output(sys.stdout)
        talk(f"it was done (entry {number} of the journal); standard output took no report.")


def stop_refused(plans: Sequence[ChangePlan], output: str, plain: bool) -> None:
    """
    Refuse what must not be written; formats for programs get the plans before.

    Raises:
        RefusedError: With all reasons of all plans.
    """
    if output not in PEOPLE and any(one.refusals for one in plans):
        # Whoever does not read them is told by the exit status all the same.
        with contextlib.suppress(BrokenPipeError):
            tell_changed(_untouched(plans), output, plain)
    check_refused(plans)


def recover_first() -> None:
    """
    Take back what did not complete, before anything is planned, and tell it on stderr.

    Raises:
        PortroomError: It cannot be taken back.
    """
    from portroom.api import change
    from portroom.render.units import printable

    for entry in change.recover_first():
        talk(f"entry {entry.number} of the journal had not completed. {printable(entry.outcome)}")


def check_refused(plans: Sequence[ChangePlan]) -> None:
    """
    Refuse what must not be written.

    Raises:
        RefusedError: With all reasons of all plans.
    """
    from portroom.render.reasons import refusal, way_out

    if sentence := refusal(plans):
        raise RefusedError(sentence, way_out(plans))


def carry_out(plans: Sequence[ChangePlan], output: str, plain: bool, *, dry_run: bool) -> None:
    """
    Write plans that were told and agreed to, and tell what became of it.

    Raises:
        ChangeError: The system was not changed as asked.
    """
    if dry_run or not any(one.steps for one in plans):
        tell_changed(_untouched(plans), output, plain, dry_run=dry_run)
        return
    from portroom.api import change
    from portroom.cli.progress import working

    with working("changing settings"):
        changed = change.apply(plans)
    tell_changed(changed, output, plain)


def _untouched(plans: Sequence[ChangePlan]) -> Changed:
    """Return the answer of plans that were not carried out."""
    from portroom.model.facts.journal import Changed

    return Changed.of(plans)


def check_can_ask(*, needed: bool) -> None:
    """
    Refuse to change several namespaces where nobody can be asked and that is *needed*.

    Raises:
        UsageError: There is no terminal.
    """
    if needed and not can_ask():
        raise click.UsageError(
            "Several network namespaces are changed only after a question, and here is no "
            "terminal to ask on: add --yes."
        )


def can_ask() -> bool:
    """Say whether a person reads stderr and can answer."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def agree(plans: Sequence[ChangePlan], *, needed: bool) -> None:
    """
    Ask whether several namespaces are to be changed, where that is *needed*.

    Raises:
        RefusedError: The answer was not yes.
        KeyboardInterrupt: Ctrl-C was the answer.
    """
    count = sum(bool(one.steps) for one in plans)
    if not count or not needed:
        return
    noun = "network namespace" if count == 1 else "network namespaces"
    sys.stderr.write(f"Change {count:,} {noun}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in YES:
        raise RefusedError("The answer was not yes: nothing was written.")


def suggest_trial(plans: Sequence[ChangePlan], request: Request) -> None:
    """Suggest a trial where the change could cut off who makes it."""
    import os

    from portroom.api.terminal import is_remote
    from portroom.model.facts.change import PERSIST_ONLY

    if request.trial_s or request.where == PERSIST_ONLY:
        return
    cutting = {"range", "ip_unprivileged_port_start"}
    if cutting & {one.name for plan in plans for one in plan.changes} and is_remote(os.environ):
        talk(HOW_TO_TRY)
