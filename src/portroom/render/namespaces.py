"""Status of several network namespaces: a line each, the tightest first."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.facts.answers import Status
from portroom.render import gaps, headroom
from portroom.render.brief_findings import brief_lines, findings_beside
from portroom.render.drift import conflict_sentences, drift_sentences
from portroom.render.flow import wrap
from portroom.render.table import Cell, Column, as_table
from portroom.render.trials import broken_lines, trial_lines
from portroom.render.units import (
    Style,
    number,
    paint,
    percent,
    plural,
    printable,
    span,
)

COLUMNS = (
    Column("NETNS", least=8),
    Column("RANGE"),
    Column("ELIGIBLE", right=True, drop=3),
    Column("TIGHTEST", least=21, middle=True),
    Column("FREE", right=True),
    Column("", right=True, drop=2),
    Column("STATE"),
    Column("TCP", right=True, drop=4),
    Column("UDP", right=True, drop=5),
)


def all_as_text(answers: Sequence[Status], style: Style) -> str:
    """Return one line a namespace, the tightest first, below the tightest of all."""
    ranked = sorted(answers, key=_rank)
    lines = _all_headline(ranked, style)
    lines += _ranges(answers, style)
    lines += ["", *as_table(COLUMNS, [_row(one, style) for one in ranked], style)]
    # Each answer has those of the whole system.
    trials = [trial for answer in answers for trial in answer.trials]
    broken = dict.fromkeys(one for answer in answers for one in answer.broken_off)
    lines += ["", *trial_lines(trials, style), *broken_lines(list(broken), style)]
    lines += _drifts(answers, style)
    found = [pair for answer in ranked for pair in findings_beside(answer)]
    lines += brief_lines(found, style, named=True)
    return "\n".join([*lines, *gaps.footer(answers, style)]) + "\n"


def _drifts(answers: Sequence[Status], style: Style) -> list[str]:
    """Return drift and boot conflicts of each namespace that has any, a sentence each."""
    lines = []
    for answer in answers:
        texts = drift_sentences(answer.drift, style, f" in {printable(answer.netns.name)}")
        texts += conflict_sentences(answer.boot_conflicts, style)
        lines += [line for text in texts for line in wrap(text, style, hang="  ")]
    return [paint(line, "yellow", style) for line in lines]


def _rank(answer: Status) -> float:
    """Return what sorts namespaces by their tightest key; none comes last."""
    keys = [headroom.tightness(key) for key in answer.tightest]
    return min(keys, default=1.0)


def _all_headline(ranked: Sequence[Status], style: Style) -> list[str]:
    """Return the tightest key of all namespaces, in words."""
    count = plural(len(ranked), "namespace")
    if not ranked or not ranked[0].tightest:
        return wrap(f"Nothing holds a local port in {count}.", style)
    key = min(ranked[0].tightest, key=headroom.tightness)
    rank = f" in namespace {printable(ranked[0].netns.name)}, the tightest of {count}"
    look = headroom.look(key, "bold")
    lines = wrap(headroom.fits(key, rank), style)
    return [paint(line, look, style) for line in lines]


def _ranges(answers: Sequence[Status], style: Style) -> list[str]:
    """Return which namespaces do not have the range of the host, in one sentence."""
    host = next((one.range for one in answers if one.netns.kind == "host"), None)
    if host is None:
        return []
    others = [one.range for one in answers if one.netns.kind != "host" and one.range]
    ends = (host.first, host.last)
    different = [use for use in others if (use.first, use.last) != ends]
    text = f"The host has the range {host.first}-{host.last}"
    if not others:
        text += "."
    elif not different:
        text += f", and so {_have(len(others))}."
    else:
        verb = "has" if len(different) == 1 else "have"
        text += (
            f"; {number(len(different))} of {plural(len(others), 'other namespace')} "
            f"{verb} another: a range is not inherited."
        )
    return wrap(text, style)


def _have(count: int) -> str:
    """Return ``have the 3 other namespaces`` with the right verb."""
    verb = "has" if count == 1 else "have"
    return f"{verb} the {'' if count == 1 else f'{count:,} '}other namespace" + (
        "" if count == 1 else "s"
    )


def _row(answer: Status, style: Style) -> tuple[str | Cell, ...]:
    """Return the cells of one namespace."""
    use, sessions = answer.range, answer.sessions
    ends = f"{use.first}-{use.last}" if use else "not known"
    eligible = number(use.eligible_ports) if use else "-"
    seen = sessions and not gaps.hides(answer.gaps, "sessions.states")
    tcp = number(sum(sessions.states.values())) if sessions and seen else "-"
    udp = number(sum(sessions.udp_states.values())) if sessions and seen else "-"
    return (
        printable(answer.netns.name),
        ends,
        eligible,
        *_key(answer, style),
        tcp,
        udp,
    )


def _key(answer: Status, style: Style) -> tuple[str | Cell, ...]:
    """Return the cells of the tightest key of a namespace."""
    if not answer.tightest:
        return ("-", "-", "-", "")
    key = min(answer.tightest, key=headroom.tightness)
    word, look = headroom.state(key), headroom.look(key)
    return (
        headroom.destination(key),
        Cell(span(key.free_ports, key.free_ports_max, style), look),
        percent(key.occupancy_ratio),
        Cell(word, look or "yellow"),
    )
