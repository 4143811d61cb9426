"""An explanation: why it fails, said first, then what was ruled out and how.

Rules of this file: what was found leads, with its evidence, what to do and the next
command alone on its line; what is ruled out and what could not be looked at are
lists below; a verdict is a word as well as a colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portroom.model.advice.causes.table import CAUSES
from portroom.model.facts.explanation import (
    ERRORS,
    FOUND,
    POSSIBLE,
    RULED_OUT,
    UNKNOWN,
    Cause,
    Explanation,
)
from portroom.render import gaps, headroom, owners
from portroom.render.changes import INDENT
from portroom.render.document import as_json, as_json_lines
from portroom.render.findings import advice_lines
from portroom.render.flow import paragraphs, wrap
from portroom.render.table import as_csv
from portroom.render.units import Style, endpoint, number, paint, plural, printable

__all__ = ["all_as_text", "as_csv_text", "as_json", "as_jsonl", "as_text"]

LOOKS = {FOUND: "red", POSSIBLE: "yellow", UNKNOWN: "yellow", RULED_OUT: "green"}

MOST_KEYS = 3
"""Keys that are told unless wide."""

TRACED = frozenset({"EADDRNOTAVAIL", "EADDRINUSE", "EAGAIN"})
"""Errors that the command TRACE sees."""

TRACE = "portroom trace"

UNKNOWN_TO = {
    ("EADDRNOTAVAIL", "udp"): "Want of a port is never this error for UDP, but EAGAIN or "
    "EADDRINUSE.",
    ("EAGAIN", "tcp"): "Want of a port is never this error for TCP, but EADDRNOTAVAIL or "
    "EADDRINUSE.",
    ("ETIMEDOUT", "udp"): "A UDP socket waits for no answer: this error is the program's own "
    "deadline, or of another socket.",
}
"""Errors that a protocol does not give for what is looked for here, and what it does."""

OF_KEYS = frozenset(
    {"key_full", "ports_blocked", "narrowed_range", "bind0_pool_full", "udp_pool_full"}
)
"""Causes that the table of keys shows."""


def as_text(answer: Explanation, style: Style) -> str:
    """Return why it fails, for a terminal."""
    told = _told(answer, style)
    sections = [headline(answer, style), *told]
    sections.append(_keys(answer, style))
    sections.append(_listed("Not decided:", of(answer, UNKNOWN), style, hint=not told))
    sections.append(_listed("Ruled out:", of(answer, RULED_OUT), style))
    sections.append(gaps.footer([answer], style))
    return "\n".join(paragraphs(sections)) + "\n"


def all_as_text(answers: Sequence[Explanation], style: Style) -> str:
    """Return several explanations; there is one alone."""
    return "".join(as_text(answer, style) for answer in answers)


def of(answer: Explanation, verdict: str) -> list[Cause]:
    """Return the causes with one verdict, in the order of the answer."""
    return [cause for cause in answer.causes if cause.verdict == verdict]


def headline(answer: Explanation, style: Style) -> list[str]:
    """Return the answer in one sentence, in the colour of what was found."""
    verdict, text = conclusion(answer)
    lines = [paint(line, LOOKS[verdict], style) for line in wrap(text, style)]
    lines += _process(answer, style) if answer.process else []
    misplaced = UNKNOWN_TO.get((answer.error or "", answer.protocol or ""))
    lines += wrap(misplaced, style) if misplaced else []
    return lines + ([] if verdict in {FOUND, POSSIBLE} else _catching(answer, style))


def _catching(answer: Explanation, style: Style) -> list[str]:
    """Return how to see the next failure as it happens, where that can be seen."""
    if answer.error not in TRACED:
        return []
    return [*wrap("It may have passed. See the next one as it happens:", style), f"  {TRACE}"]


def conclusion(answer: Explanation) -> tuple[str, str]:
    """Return the gravest verdict, and the sentence that concludes."""
    for verdict, word in ((FOUND, ""), (POSSIBLE, "perhaps ")):
        causes = of(answer, verdict)
        if causes:
            more = len(causes) - 1
            also = f", and {plural(more, 'more cause')}" if more else ""
            error = answer.error or causes[0].errors[0]
            return verdict, f"{_failure(error, answer)}: {word}{title(causes[0].name)}{also}."
    what = _failure(answer.error, answer) if answer.error else f"a failure{_ends(answer)}"
    ruled_out, missed = len(of(answer, RULED_OUT)), len(of(answer, UNKNOWN))
    text = f"No cause of {what} is found: {number(ruled_out)} ruled out"
    if missed:
        return UNKNOWN, f"{text}, {number(missed)} could not be looked at."
    return RULED_OUT, f"{text}."


def _failure(error: str, answer: Explanation) -> str:
    """Return what fails: ``99 EADDRNOTAVAIL to 10.0.0.20:5432``."""
    return f"{ERRORS.get(error, '')} {error}".strip() + _ends(answer)


def _ends(answer: Explanation) -> str:
    """Return to and from where, with blanks before, as far as it was asked."""
    remote, local = answer.remote_address, answer.local_address
    protocol = " over UDP" if answer.protocol == "udp" else ""
    to = f" to {endpoint(printable(remote), answer.remote_port)}" if remote else ""
    source = endpoint(printable(local or "*"), answer.local_port)
    return f"{protocol}{to}{f' from {source}' if local or answer.local_port else ''}"


def title(name: str) -> str:
    """
    Return what a cause is, as the end of a sentence; one of a later version by its name.

    >>> title("port_taken")
    'another socket is bound to the port'
    """
    return CAUSES[name].title if name in CAUSES else printable(name)


def _process(answer: Explanation, style: Style) -> list[str]:
    """Return which process was asked about."""
    assert answer.process is not None
    return wrap(f"Seen from {owners.identity(answer.process)}.", style)


def cause_lines(cause: Cause, style: Style, word: str = "") -> list[str]:
    """
    Return one cause: the evidence, what to do, the next command, the page.

    Args:
        cause: Found or possible.
        style: Its width holds but for the command.
        word: What tells it from the cause in the first line: ``Possible``.
    """
    head = f"{word}: {cause.name}: {cause.sentence}" if word else cause.sentence
    look = LOOKS[cause.verdict] if word else ""
    hang = INDENT if word else ""
    lines = [paint(line, look, style) for line in wrap(printable(head), style, hang=hang)]
    commands = [cause.command] if cause.command else []
    return lines + advice_lines(cause.remedy, commands, cause.page, style)


def _told(answer: Explanation, style: Style) -> list[list[str]]:
    """Return the causes that are found or possible; the first one is in the first line."""
    causes = [*of(answer, FOUND), *of(answer, POSSIBLE)]
    words = {FOUND: "Also found", POSSIBLE: "Possible"}
    return [
        cause_lines(cause, style, words[cause.verdict] if place else "")
        for place, cause in enumerate(causes)
    ]


def _keys(answer: Explanation, style: Style) -> list[str]:
    """Return the keys that were judged, the tightest first, where a cause is about them."""
    told = {cause.name for cause in (*of(answer, FOUND), *of(answer, POSSIBLE))}
    if not answer.keys or (OF_KEYS.isdisjoint(told) and not style.wide):
        return []
    keys = sorted(answer.keys, key=headroom.tightness)
    shown = keys if style.wide else keys[:MOST_KEYS]
    return headroom.key_table([(answer, key) for key in shown], style)


def _listed(
    heading: str, causes: Sequence[Cause], style: Style, *, hint: bool = False
) -> list[str]:
    """
    Return causes as a list: the name, and what was seen or not.

    Args:
        heading: What is told of all of them.
        causes: Ruled out, or unknown.
        style: Its width holds but for commands.
        hint: Whether each is told with its command; wide has them anyhow.
    """
    lines = [paint(heading, "bold", style)] if causes else []
    for cause in causes:
        text = f"{printable(cause.name)}: {printable(cause.sentence)}"
        look = LOOKS[UNKNOWN] if cause.verdict == UNKNOWN else ""
        wrapped = wrap(text, style, indent=INDENT, hang=INDENT * 2)
        lines += [paint(line, look, style) for line in wrapped]
        if cause.command and (hint or style.wide):
            lines.append(INDENT * 3 + printable(cause.command))
    return lines


CSV_COLUMNS = ("netns", "name", "verdict", "errors", "sentence", "remedy", "command", "page")


def as_csv_text(answers: Sequence[Explanation]) -> str:
    """Return a line a cause."""
    return as_csv(CSV_COLUMNS, _csv_rows(answers))


def _csv_rows(answers: Sequence[Explanation]) -> Iterator[tuple[object, ...]]:
    """Yield the fields of each cause."""
    for answer in answers:
        for one in answer.causes:
            fields = (getattr(one, name) for name in CSV_COLUMNS[4:])
            yield answer.netns.name, one.name, one.verdict, " ".join(one.errors), *fields


def as_jsonl(answer: Explanation) -> str:
    """Return a line a cause."""
    return as_json_lines(answer, answer.causes)
