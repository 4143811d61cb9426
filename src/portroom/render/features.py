"""Features: what a kernel tells and what it does not, each with what follows.

Rules of this file: an answer is a word as well as a colour; what follows stands before
how it was found out; wide is one line a feature.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portroom.model.facts.features import NO, SAID, UNKNOWN, YES, FeaturesAnswer, FeatureTold
from portroom.model.laws.feature_table import TOPICS
from portroom.model.laws.features import IN_SNAPSHOT, feature_named
from portroom.render import gaps
from portroom.render.document import as_json, as_json_lines
from portroom.render.flow import joined, paragraphs, wrap
from portroom.render.table import Cell, Column, as_csv, as_table
from portroom.render.units import Style, paint, plural, printable

__all__ = ["all_as_text", "as_csv_text", "as_json", "as_jsonl", "as_text"]

LOOKS = {YES: "green", NO: "yellow", UNKNOWN: "yellow"}

INDENT = "  "
HANG = " " * 10
"""Below a name, which stands behind the longest answer."""

MOST_NAMES = 6
"""More names than these would hide the counts."""

COLUMNS = (
    Column("FEATURE"),
    Column("ANSWER"),
    Column("WHAT IT IS"),
    Column("SEEN"),
    Column("WHAT FOLLOWS"),
    Column("HOW IT WAS ASKED"),
)


def as_text(answer: FeaturesAnswer, style: Style) -> str:
    """Return the features of one kernel; wide is one line a feature."""
    return all_as_text([answer], style)


def all_as_text(answers: Sequence[FeaturesAnswer], style: Style) -> str:
    """Return the features of one or several kernels, one after the other."""
    sections = [section for answer in answers for section in _sections(answer, style)]
    return "\n".join(paragraphs(sections)) + "\n"


def _sections(answer: FeaturesAnswer, style: Style) -> Iterator[list[str]]:
    """Yield what stands apart by a blank line: the counts, the topics, whose it is."""
    yield headline(answer, style)
    if style.wide:
        yield as_table(COLUMNS, [_row(one) for one in answer.features], style)
    else:
        told = [one for one in answer.features if one.detail != IN_SNAPSHOT]
        for topic in TOPICS:
            yield from _topic(topic, told, style)
        yield _unheld(answer, style)
    yield gaps.footer([answer], style)


def headline(answer: FeaturesAnswer, style: Style) -> list[str]:
    """Return how many features there are, and which there are not or are not known."""
    parts = []
    for said in SAID:
        names = [one.name for one in answer.features if one.answer == said]
        named = "" if said == YES or len(names) > MOST_NAMES else f" ({', '.join(names)})"
        parts += [f"{len(names)} {said}{named}"] if names else []
    return wrap(f"{plural(len(answer.features), 'feature')}: {joined(parts)}.", style)


def _topic(topic: str, features: Sequence[FeatureTold], style: Style) -> Iterator[list[str]]:
    """Yield one topic: its name, and each feature of it."""
    blocks = [
        feature_lines(one, style) for one in features if feature_named(one.name).topic == topic
    ]
    if blocks:
        first, *others = blocks
        yield [paint(topic, "bold", style), *first]
        yield from others


def feature_lines(told: FeatureTold, style: Style) -> list[str]:
    """Return one feature: the answer, what follows, and how it was found out."""
    head = f"{told.answer:<7} {told.name}: {told.title}"
    first, *more = wrap(head, style, indent=INDENT, hang=HANG)
    first = first.replace(told.answer, paint(told.answer, LOOKS[told.answer], style), 1)
    lines = [first, *more, *wrap(told.consequence, style, indent=HANG, hang=HANG)]
    found = wrap(_found_out(told), style, indent=HANG, hang=HANG)
    return lines + [paint(line, "dim", style) for line in found]


def _found_out(told: FeatureTold) -> str:
    """Return how a feature was found out, or why it was not."""
    begin = "Not found out" if told.answer == UNKNOWN else "Found out"
    detail = f": {printable(told.detail)}" if told.detail else ""
    return f"{begin} {told.how}{detail}."


def _unheld(answer: FeaturesAnswer, style: Style) -> list[str]:
    """Return which features a Snapshot does not hold."""
    names = [one.name for one in answer.features if one.detail == IN_SNAPSHOT]
    return wrap(f"Not held by a Snapshot: {joined(names)}.", style, hang=INDENT) if names else []


def _row(told: FeatureTold) -> list[str | Cell]:
    """Return the cells of one feature."""
    return [
        told.name,
        Cell(told.answer, LOOKS[told.answer]),
        told.title,
        printable(told.detail),
        told.consequence,
        told.how,
    ]


CSV_COLUMNS = ("netns", "name", "answer", "title", "detail", "consequence", "how")


def as_csv_text(answers: Sequence[FeaturesAnswer]) -> str:
    """Return a line a feature."""
    return as_csv(
        CSV_COLUMNS,
        (
            (answer.netns.name, *(getattr(one, name) for name in CSV_COLUMNS[1:]))
            for answer in answers
            for one in answer.features
        ),
    )


def as_jsonl(answer: FeaturesAnswer) -> str:
    """Return a line a feature."""
    return as_json_lines(answer, answer.features)
