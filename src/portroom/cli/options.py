"""Options that several commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from portroom.cli.complete import complete_file, complete_netns
from portroom.cli.output import FORMATS
from portroom.errors import InvalidRequestError, NotPermittedError, PortroomError

if TYPE_CHECKING:
    from portroom.api.source import Source
    from portroom.cli.progress import Progress
    from portroom.model.facts.answers import Answer
    from portroom.model.facts.snapshot import Gap

Command = Callable[..., Any]

EXIT_STATUSES = {
    0: "answered",
    2: "wrong usage",
    3: "could not be read: a right or a kernel feature is missing",
    70: "a bug in portroom",
    130: "interrupted",
}

CHANGE_STATUSES = {
    "_4": "refused, in conflict or taken back; the system is as it was before",
    "_5": "neither as before nor as asked: a person is needed",
}
"""What commands that change add to them."""


def exit_statuses(**others: str) -> str:
    """
    Return the end of a command's help: its exit statuses.

    Args:
        others: What a number means for this command: ``_1="fewer are free"``.
    """
    meanings = EXIT_STATUSES | {int(name[1:]): text for name, text in others.items()}
    lines = [f"  {status:<4}{meanings[status]}" for status in sorted(meanings)]
    return "\b\nExit status:\n" + "\n".join(lines)


def output_options(command: Command) -> Command:
    """Add `-o` and `--ascii`."""
    form = click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="Format of the answer; wide cuts nothing.",
    )
    plain = click.option("--ascii", "plain", is_flag=True, help="Draw with ASCII characters alone.")
    return form(plain(command))


def source_options(command: Command) -> Command:
    """Add `--netns`, `--all-netns` and `--snapshot`."""
    every = click.option("--all-netns", is_flag=True, help="Look into every network namespace.")
    return netns_option(every(snapshot_option(command)))


def netns_option(command: Command) -> Command:
    """Add `--netns`."""
    one = click.option(
        "--netns",
        metavar="NAME|PID|PATH",
        shell_complete=complete_netns,
        help="Look into this network namespace.",
    )
    return one(command)


def snapshot_option(command: Command) -> Command:
    """Add `--snapshot`."""
    saved = click.option(
        "--snapshot",
        metavar="FILE",
        shell_complete=complete_file,
        help="Answer from a saved Snapshot, not from the kernel.",
    )
    return saved(command)


Result = TypeVar("Result", bound="Answer")


def ask(sources: Sequence[Source], question: Callable[[Source], Result]) -> list[Result]:
    """
    Return the answer of each namespace.

    Of several namespaces one may vanish meanwhile, or not let us in: the others
    answer, and the first answer carries the gap.

    Raises:
        PortroomError: No namespace answered; the error is that of the last.
    """
    answers, missed = [], []
    with reading(sources) as progress:
        for one in sources:
            try:
                answers.append(question(one))
            except (InvalidRequestError, NotPermittedError) as error:
                missed.append(error)
            progress.step()
    if missed and not answers:
        raise missed[-1]
    return _with_gaps(answers, [*_unseen(sources), *_missed(missed)])


def reading(sources: Sequence[Source]) -> AbstractContextManager[Progress]:
    """Show that some namespaces are read, one after the other."""
    from portroom.cli.progress import working

    if len(sources) == 1:
        return working("reading")
    return working("reading network namespaces", len(sources))


def _unseen(sources: Sequence[Source]) -> list[Gap]:
    """Return what was not seen while looking for namespaces."""
    from portroom.api.source import Live

    return [gap for one in sources if isinstance(one, Live) for gap in one.unseen]


def _missed(errors: Sequence[PortroomError]) -> Iterator[Gap]:
    """Yield a gap for each kind of error: a closed host may have hundreds of one."""
    from portroom.model.facts.snapshot import Gap

    for kind in dict.fromkeys(map(type, errors)):
        alike = [error for error in errors if type(error) is kind]
        several = f"{len(alike)} gave no answer, the first: " if len(alike) > 1 else ""
        yield Gap("namespaces", f"{several}{alike[0]}", ("namespaces",))


def _with_gaps(answers: list[Result], gaps: Sequence[Gap]) -> list[Result]:
    """Return the answers, the first with what is missing beside them."""
    if not gaps:
        return answers
    from msgspec.structs import replace

    return [replace(answers[0], gaps=(*answers[0].gaps, *gaps)), *answers[1:]]


def source(netns: str | None, all_netns: bool, snapshot: str | None) -> Sequence[Source]:
    """
    Return where to read: one source a namespace.

    Raises:
        UsageError: The options contradict each other.
    """
    given = {
        "--netns": netns is not None,
        "--all-netns": all_netns,
        "--snapshot": snapshot is not None,
    }
    named = [name for name, present in given.items() if present]
    if len(named) > 1:
        raise click.UsageError(f"{named[0]} and {named[1]} exclude each other.")
    from portroom.api.source import open_sources
    from portroom.cli.progress import working

    with working("looking for network namespaces" if all_netns else "reading"):
        return open_sources(netns, all_netns, snapshot)
