"""`portroom doctor`: what is wrong or will be, and what to do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from portroom.cli.options import (
    ask,
    exit_statuses,
    output_options,
    reading,
    source,
    source_options,
)
from portroom.cli.progress import working

if TYPE_CHECKING:
    from portroom.api.source import Source
    from portroom.model.advice.findings.myths import Myth
    from portroom.model.advice.findings.table import Row
    from portroom.model.facts.answers import Findings

    Rules = Mapping[str, tuple[Row, Myth | None]]

FOUND = 1
UNDECIDED = 3

WATCHED_S = 1.0
"""Seconds between two readings of the counters, unless asked otherwise."""


def complete_name(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Return the findings, and what people call a myth by, that begin so."""
    from portroom.model.advice.findings.myths import MYTHS
    from portroom.model.advice.findings.table import FINDINGS

    words = [*FINDINGS, *(word for myth in MYTHS for word in myth.words if " " not in word)]
    return [word for word in words if word.startswith(begun)]


@click.command(
    epilog=exit_statuses(
        _1="with --strict: there is a finding",
        _3="could not be read; with --strict: none found, and not all was seen",
    )
)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_name)
@click.option("--strict", is_flag=True, help="Exit 1 if there is a finding, of any severity.")
@click.option("--probe", is_flag=True, help="Let the kernel settle what is in doubt; no packet.")
@click.option(
    "--for",
    "watched_s",
    type=click.FloatRange(min=0, max=3600),
    metavar="SECONDS",
    help="Watch the counters so long; unasked 1, 0 is not at all.",
)
@output_options
@source_options
def doctor(
    names: tuple[str, ...],
    strict: bool,
    output: str,
    plain: bool,
    netns: str | None,
    all_netns: bool,
    snapshot: str | None,
    **asked: Any,
) -> int:
    """Findings, each with evidence and remedy.

    The gravest first: critical, warning, info. Each with its numbers, what to do, the
    command, and the page that tells more; then what could not be checked.

    NAME is a finding, as `tight_key`, or advice that is often given, as `tcp_tw_recycle`
    or `tcp_fin_timeout`: what it really does is told. Needs no root, though root sees
    more; changes nothing.
    """
    from portroom.cli.output import show, talk
    from portroom.render.findings import Screen, myth_sentence

    rules = wanted(names)
    sources = source(netns, all_netns, snapshot)
    answers = _answers(sources, rules, saved=snapshot is not None, **asked)
    answers = [chosen(one, rules) for one in answers]
    myths = [myth for _, myth in rules.values() if myth is not None]
    show(answers, Screen(myths), output=output, plain=plain, all_netns=all_netns, pager=True)
    if output not in {"table", "wide"}:
        for myth in myths:
            talk(myth_sentence(myth))
        # An empty table must not look like a clean bill.
        if output != "json" and not strict and (missed := unchecked(answers)):
            talk(f"Not checked in full: {', '.join(missed)}.")
    return judged(answers) if strict else 0


def wanted(names: Sequence[str]) -> Rules:
    """
    Return the rules that are asked for by name, none for all.

    Raises:
        InvalidRequestError: A name means none; the nearest is named.
    """
    from portroom.model.advice.doctor import named
    from portroom.model.advice.findings.myths import myth_named

    # `doctor 1024 65535` is one myth, not two names.
    words = [" ".join(names)] if myth_named(" ".join(names)) else names
    found = [named(word) for word in words]
    return {name: (row, myth) for name, row, myth in found}


def _answers(
    sources: Sequence[Source],
    rules: Rules,
    *,
    saved: bool,
    probe: bool,
    watched_s: float | None,
) -> list[Findings]:
    """Return the findings of each namespace, once the options do not contradict each other."""
    from portroom.api import doctor as asking

    for name, given in (("--probe", probe), ("--for", watched_s is not None)):
        if saved and given:
            raise click.UsageError(f"{name} asks the kernel: not with --snapshot.")
    watch_s = unasked_s(rules) if watched_s is None else watched_s
    # All are read first, so that they share one wait.
    begun = {}
    with reading(sources) as progress:
        for one in sources:
            begun[id(one)] = asking.begin(one, settle=probe)
            progress.step()
    with working("watching the counters", seconds=0.0 if saved else watch_s):
        return ask(sources, lambda one: begun[id(one)](watch_s))


def unasked_s(rules: Rules) -> float:
    """Return how long the counters are watched unasked: not where no rule needs them."""
    from portroom.model.advice.findings.parts import CONNTRACK_STATS, COUNTS

    needs = {part for row, _ in rules.values() for part in row.needs}
    return 0.0 if rules and needs.isdisjoint({COUNTS, CONNTRACK_STATS}) else WATCHED_S


def chosen(answer: Findings, names: Collection[str]) -> Findings:
    """Return an answer with the findings of some rules alone; no name is all."""
    from msgspec.structs import replace

    if not names:
        return answer
    return replace(
        answer,
        findings=tuple(one for one in answer.findings if one.name in names),
        checked=tuple(name for name in answer.checked if name in names),
        unchecked=tuple(name for name in answer.unchecked if name in names),
    )


def unchecked(answers: Sequence[Findings]) -> list[str]:
    """Return the rules that did not see all that they need in some namespace, each once."""
    return list(dict.fromkeys(name for answer in answers for name in answer.unchecked))


def judged(answers: Sequence[Findings]) -> int:
    """
    Return the exit status for `--strict`, and tell a doubt.

    A finding, of any severity: 1. None, but not every rule saw all that it needs: 3.
    """
    from portroom.cli.output import talk

    if any(answer.findings for answer in answers):
        return FOUND
    missed = unchecked(answers)
    if not missed:
        return 0
    talk(f"Whether there is a finding cannot be decided: not checked in full: {', '.join(missed)}.")
    return UNDECIDED
