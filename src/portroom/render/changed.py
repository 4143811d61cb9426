"""What `set` and `apply` did: the entry of the journal, how to keep it, how to undo it."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.facts.change import PERSIST_ONLY, ChangePlan, FileStep
from portroom.model.facts.journal import TRIAL, Changed, Entry
from portroom.model.facts.trial import PendingTrial
from portroom.render import gaps, plan, plans
from portroom.render.document import as_json, as_json_line
from portroom.render.flow import TIED, joined, wrap
from portroom.render.trials import left_text, trial_name
from portroom.render.units import Style, instant, paint, printable

__all__ = ["all_as_text", "as_csv_text", "as_json", "as_jsonl", "as_text", "before", "happened"]


def as_text(changed: Changed, style: Style) -> str:
    """Return the plans and what became of them."""
    return before(changed.plans, style) + happened(changed, style)


def all_as_text(answers: Sequence[Changed], style: Style) -> str:
    """Return several answers; there is one alone."""
    return "".join(as_text(answer, style) for answer in answers)


def before(every: Sequence[ChangePlan], style: Style, *, as_table: bool = False) -> str:
    """
    Return the plans, as they are told before anything is written.

    Args:
        every: One a namespace.
        style: How it is to look.
        as_table: Told as a table, be they one or many.
    """
    if as_table or len(every) != 1:
        lines = plans.all_plans_lines(every, style)
    else:
        lines = plan.plan_lines(every[0], style)
    # A blank line, for what is told after the change was made.
    return "\n".join([*lines, "", ""])


def happened(
    changed: Changed,
    style: Style,
    *,
    dry_run: bool = False,
    pending: Sequence[PendingTrial] = (),
) -> str:
    """
    Return what was done, the way back, and whose and when it is.

    Args:
        changed: The plans, and the entry of the journal.
        style: How it is to look.
        dry_run: Nothing was to be done.
        pending: Trials that would have refused it.
    """
    lines: list[str] = []
    if changed.entry is not None:
        lines = _done(changed.entry, changed.plans, style)
    elif dry_run:
        for sentence in refused_by(pending):
            lines += [paint(line, "yellow", style) for line in wrap(sentence, style)]
        lines += wrap("Dry run: nothing was written.", style)
    elif any(one.steps for one in changed.plans):
        lines = wrap("Nothing was written.", style)
    elif len(changed.plans) > 1:
        lines = wrap("Nothing to do.", style)
    footer = gaps.signature(changed.plans or [changed], style)
    return "\n".join([*lines, *([""] if lines else []), *footer]) + "\n"


def refused_by(pending: Sequence[PendingTrial]) -> list[str]:
    """Return a sentence for each trial that would refuse what a dry run planned."""
    return [
        f"{trial_name(one)} is pending: until it ends, nothing else is changed there, "
        "and this would be refused."
        for one in pending
    ]


def outcome(changed: Changed) -> str:
    """Return what was done as one sentence, for a format that has no place for it."""
    if changed.entry is None:
        return ""
    return " ".join(_done(changed.entry, changed.plans, Style(width=0)))


def _done(entry: Entry, every: Sequence[ChangePlan], style: Style) -> list[str]:
    """Return how a change stands, and what can be done with it."""
    if entry.phase == TRIAL and entry.trial is not None:
        return _on_trial(entry, every, style)
    head = f"Done and read back: entry {entry.number} of the journal."
    if entry.request.where == PERSIST_ONLY:
        head = f"Done: entry {entry.number} of the journal. The kernel's values were left alone."
    texts = [_next_boot(entry, every), f"Take it back: portroom{TIED}undo."]
    lines = [paint(line, "green", style) for line in wrap(head, style)]
    return lines + [line for text in texts if text for line in wrap(text, style)]


def _on_trial(entry: Entry, every: Sequence[ChangePlan], style: Style) -> list[str]:
    """Return until when a change is tried, and how to keep it."""
    assert entry.trial is not None
    at = instant(entry.trial.deadline_at)
    head = (
        f"On trial, read back: entry {entry.number} of the journal. It is taken back in "
        f"{left_text(entry.request.trial_s)}, at {at}, unless you confirm it."
    )
    confirm = f"portroom confirm {entry.number}".replace(" ", TIED)
    keep = f"Keep it: {confirm}."
    if entry.trial.persist:
        keep = f"Keep it: {confirm}. That also writes {_files(every)}."
    texts = [keep, f"Take it back now: portroom{TIED}undo."]
    lines = [paint(line, "yellow", style) for line in wrap(head, style)]
    return lines + [line for text in texts for line in wrap(text, style)]


def _files(every: Sequence[ChangePlan]) -> str:
    """Return the file that keeps a change."""
    paths = [one.persistence.path for one in every if one.persistence is not None]
    return printable(paths[0]) if paths else "the file for the next boot"


def _next_boot(entry: Entry, every: Sequence[ChangePlan]) -> str:
    """Return what the next boot makes of a change, "" where a note says it."""
    files = [
        f"{printable(step.path)} was {'removed' if step.after is None else 'written'}"
        for step in entry.steps
        if isinstance(step, FileStep)
    ]
    if not files:
        return ""
    if any(one.persistence and one.persistence.program is None for one in every):
        return f"For the next boot {joined(files)}; {plan.UNAPPLIED}."
    what = "the new values" if entry.request.where == PERSIST_ONLY else "the same"
    return f"The next boot gives {what}: {joined(files)}."


CSV_COLUMNS = plan.CSV_COLUMNS


def as_csv_text(answers: Sequence[Changed]) -> str:
    """Return a line a setting of each namespace."""
    return plan.as_csv_text([one for answer in answers for one in answer.plans])


def as_jsonl(answer: Changed) -> str:
    """Return the whole answer in one line."""
    return as_json_line(answer)
