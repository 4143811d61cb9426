"""`portroom history`: what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from portroom.cli.complete import complete_file, complete_netns
from portroom.cli.options import exit_statuses
from portroom.cli.output import FORMATS

if TYPE_CHECKING:
    from portroom.model.facts.questions import HistoryQuestion

CHART = "chart"

POINTS = {"table": 24, "wide": 60}
"""Moments of one key that is told moment by moment."""

MOST_POINTS = 1000


def seconds(_: click.Context, __: click.Parameter, text: str) -> float:
    """
    Return a span of time in seconds.

    Raises:
        BadParameter: It is none.
    """
    from portroom.model.facts.config import DURATION
    from portroom.model.laws.config_values import FORMS, READERS

    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    found = float(text) if is_number else READERS[DURATION](text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no time: expected {FORMS[DURATION]}.")
    return float(found)


@click.command(
    epilog=exit_statuses(_3="there is no history, or it cannot be read"),
)
@click.option(
    "--since",
    default="1h",
    show_default=True,
    callback=seconds,
    metavar="TIME",
    help="How far back: 30m, 2h, 7d.",
)
@click.option(
    "--until",
    default="0s",
    show_default=True,
    callback=seconds,
    metavar="TIME",
    help="End so long before now.",
)
@click.option(
    "--key",
    metavar="ADDRESS[:PORT]",
    help="Only keys to this remote; also a prefix or a :PORT.",
)
@click.option("--proto", type=click.Choice(("tcp", "udp")), help="Only keys of this protocol.")
@click.option(
    "--netns",
    metavar="NAME",
    shell_complete=complete_netns,
    help="Only this network namespace, by its name.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="N",
    help="Show so many keys, those that were tightest first; 0 is all.",
)
@click.option(
    "--points",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Moments of each key at most; unasked, as many as there is room for.",
)
@click.option(
    "--history",
    "file",
    metavar="FILE",
    shell_complete=complete_file,
    help="The database; unasked, where a daemon of this host keeps it.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice((*FORMATS, CHART)),
    default="table",
    show_default=True,
    help="Format of the answer; chart draws each key over time.",
)
@click.option("--ascii", "plain", is_flag=True, help="Draw with ASCII characters alone.")
def history(file: str | None, output: str, plain: bool, **words: Any) -> None:
    """What was seen, and what happened meanwhile.

    `portroom serve` remembers; this tells. A line a key, the tightest first, with its
    course; with --key a line a moment. A span is told by its tightest figures: the
    most held, the fewest free. Below are changes of the journal, alerts, starts and
    stops of the daemon, and times without samples.

    Asks no kernel, needs no root where the file may be read, changes nothing.
    """
    from portroom.api import history as past
    from portroom.cli.output import show
    from portroom.render.history import COURSE, MOMENTS, Screen

    question = _question(output, **words)
    answer = past.history(question, file)
    form = CHART if output == CHART else COURSE if question.key is None else MOMENTS
    output = "table" if output == CHART else output
    show([answer], Screen(form), output=output, plain=plain, pager=True)


def _question(
    output: str,
    *,
    since: float,
    until: float,
    key: str | None,
    proto: str | None,
    points: int | None,
    **others: Any,
) -> HistoryQuestion:
    """Return the question, once its words do not contradict each other."""
    from portroom.model.facts.questions import HistoryQuestion
    from portroom.model.facts.sockets import Protocol

    if until >= since:
        raise click.UsageError(
            "--since has to lie farther back than --until: there is no time between them."
        )
    few = MOST_POINTS if key is None else POINTS.get(output, MOST_POINTS)
    return HistoryQuestion(
        since_s=since,
        until_s=until,
        key=key,
        protocol=Protocol(proto) if proto else None,
        points=points or few,
        **others,
    )
