"""Boot: what each sysctl will be after the next boot, and which line decides.

Rules of this file: a value is the text that the kernel holds; every path, value
and name comes from files of others and is escaped; a table of many lines is cut
to those that tell most, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portroom.model.facts.boot import BEFORE, EVERY_KEY, PROCESS, TRACE
from portroom.model.facts.boot_answer import Boot, BootKey, of_each_key
from portroom.model.facts.boot_lines import BootCandidate
from portroom.model.facts.settings import SETTINGS
from portroom.model.laws.boot_doubts import PROGRAM
from portroom.model.laws.boot_notes import PROGRAM_NAMES
from portroom.model.laws.dialects import TUNED
from portroom.model.laws.outcomes import APPLIED, BROKEN, EXCLUDED, REFUSED, UNREAD
from portroom.model.laws.redact_boot import REDACTED
from portroom.render import document, gaps
from portroom.render.boot_lines import BY_KERNEL, details, flow, place_of, text_of
from portroom.render.document import as_json_line
from portroom.render.flow import joined
from portroom.render.table import Cell, Column, Row, as_csv, as_table
from portroom.render.units import Style, in_sentence, paint, plural, printable

__all__ = ["as_csv_text", "as_json", "as_jsonl", "as_text"]

COLUMNS = (
    Column("NAME", least=12, middle=True),
    Column("NEXT BOOT", least=11, middle=True),
    Column("NOW", least=11, middle=True, drop=2),
    Column("DECIDED BY", least=20, middle=True, drop=1),
    Column("NOTE", least=15),
)

BAD = (REFUSED, BROKEN, EXCLUDED, UNREAD)
"""Outcomes of lines that somebody wrote for a reason, and that do nothing."""

OF_TABLE = frozenset(setting.key for setting in SETTINGS)


def as_text(answer: Boot, style: Style) -> str:
    """Return what decides: all sysctls in a table, then the lines of each that has any."""
    lines = _headline(answer, style)
    if answer.program is not None:
        if len(answer.keys) > 1:
            rows = [_row(one, answer) for one in answer.keys]
            lines += ["", *as_table(COLUMNS, rows, style)]
        for one in answer.keys:
            if one.candidates or one.programs_differ:
                lines += ["", *details(one, answer, style)]
        lines += _others(answer, style)
        for note in answer.notes:
            lines += flow(printable(note), style, hang="  ")
    return "\n".join([*lines, "", *gaps.footer([answer], style)]) + "\n"


# The answer in words, and the table.


def _headline(answer: Boot, style: Style) -> list[str]:
    """Return the answer in one or two sentences, and by whose rules it is."""
    if answer.program is None:
        return flow("What decides at the next boot is not known.", style)
    version = f" {answer.program_version}" if answer.program_version else ""
    why = f", because {printable(answer.evidence)}"
    if answer.evidence == REDACTED:
        why = "; how that is known is redacted"
    rules = f"Rules of {answer.program}{version}{why}."
    if answer.root != "/":
        rules += f" Answered from the files below {printable(answer.root)}."
    lines = [paint(line, "bold", style) for line in flow(_answered(answer, style), style)]
    return [*lines, *flow(rules, style)]


def _answered(answer: Boot, style: Style) -> str:
    """Return the answer in words, and first under which condition it holds."""
    text = _outcome(answer, style)
    conditions = []
    if _is_partly_seen(answer):
        conditions.append("as far as was seen")
    if _is_assumed(answer) and any(one.candidates for one in answer.keys):
        conditions.append(f"if {PROGRAM_NAMES[str(answer.program)]} applies the files")
    if not conditions:
        return text
    condition = ", and ".join(conditions)
    return f"{condition[0].upper()}{condition[1:]}, {text[0].lower()}{text[1:]}"


def _is_partly_seen(answer: Boot) -> bool:
    """Say whether something was not seen that may decide whatever was asked."""
    own = {PROGRAM, *(one.key for one in answer.keys)}
    seen = {"value", "keys.value"}
    return any(gap.source not in own and seen.intersection(gap.affects) for gap in answer.gaps)


def _is_assumed(answer: Boot) -> bool:
    """Say whether nothing is known to apply the files, so that the rules are an assumption."""
    # A tuned that is started decides last, whatever applied the files before.
    return answer.program != TUNED and any(gap.source == PROGRAM for gap in answer.gaps)


def _outcome(answer: Boot, style: Style) -> str:
    """Return in words how many sysctls are decided, and where programs differ."""
    if len(answer.keys) == 1:
        return _outcome_of(answer.keys[0], answer, style)
    if not any(one.candidates for one in answer.keys):
        return "No sysctl file names any of these settings: the kernel's defaults stay."
    decided = sum(one.winner is not None for one in answer.keys)
    verb = "is" if decided == 1 else "are"
    settings = plural(len(answer.keys), "setting")
    text = f"{decided} of {settings} {verb} decided by a file."
    if not decided:
        text = f"No file decides any of the {settings}."
    lost = [printable(one.name) for one in answer.keys if _has_bad_lines(one) and not one.winner]
    differing = [printable(one.name) for one in answer.keys if one.programs_differ]
    if lost:
        text += f" Lines without effect name {joined(lost)}."
    return f"{text} Programs differ on {joined(differing)}." if differing else text


def _outcome_of(one: BootKey, answer: Boot, style: Style) -> str:
    """Return in words what decides one sysctl."""
    name = printable(one.name)
    if one.exists is False:
        text = f"This kernel does not have {name}: no line sets it."
    elif one.winner is not None:
        text = f"After the next boot {name} is {in_sentence(one.value, style)}, by "
        text += f"{place_of(one.winner)}."
    else:
        what = f"No line that names {name} takes effect"
        none = f"No sysctl file names {name}"
        text = f"{what if one.candidates else none}: {_stays(one, answer, style)}."
    if _changes(one):
        text += f" Now it is {in_sentence(one.current, style)}."
    return f"{text} Programs differ." if one.programs_differ else text


def _stays(one: BootKey, answer: Boot, style: Style) -> str:
    """Return in words what a sysctl has that no line decides."""
    if raiser := _raiser(one, answer):
        return f"it is what {raiser} sets"
    default = "" if one.default is None else f" {in_sentence(one.default, style)}"
    return f"the kernel's default{default} stays"


def _raiser(one: BootKey, answer: Boot) -> str:
    """Return the process that sets a sysctl before the boot program does; "" for none."""
    found = (w for w in answer.writers if (w.key, w.kind, w.when) == (one.key, PROCESS, BEFORE))
    return next((printable(w.name) for w in found), "")


def _row(one: BootKey, answer: Boot) -> Row:
    """Return the cells of one sysctl."""
    value, decider = _next(one, answer)
    return (
        Cell(printable(one.name), "bold"),
        value,
        Cell(_now(one), "yellow" if _changes(one) else ""),
        decider,
        Cell(", ".join(_notes(one, answer)), "yellow"),
    )


def _next(one: BootKey, answer: Boot) -> tuple[str, str]:
    """Return what a sysctl will be, and who decides that."""
    if one.exists is False:
        return "-", "-"
    if one.winner is not None:
        return text_of(one.value), place_of(one.winner)
    if raiser := _raiser(one, answer):
        return "not known", raiser
    if one.default is None:
        return ("by machine" if one.key in OF_TABLE else "not known"), BY_KERNEL
    return text_of(one.default), BY_KERNEL


def _now(one: BootKey) -> str:
    """Return what a sysctl holds now; nothing for a system that does not run here."""
    return "" if one.exists is None and one.current is None else text_of(one.current)


def _notes(one: BootKey, answer: Boot) -> Iterator[str]:
    """Yield a word for each thing that a person should look at."""
    if one.exists is False:
        yield "absent"
    if _is_uncertain(one, answer):
        yield "uncertain"
    if _is_not_as_written(one):
        yield "not as written"
    if one.programs_differ:
        yield "programs differ"
    if _has_bad_lines(one):
        yield "line without effect"
    if _changes(one):
        yield "not as now"
    if any(w.key == one.key and w.kind in {PROCESS, TRACE} for w in answer.writers):
        yield "others write"


def _has_bad_lines(one: BootKey) -> bool:
    """Say whether a line names a sysctl and does nothing."""
    return any(line.outcome in BAD for line in one.candidates)


def _is_not_as_written(one: BootKey) -> bool:
    """Say whether the kernel makes something else of the text of the line that decides."""
    return any(line.outcome == APPLIED and line.remedy for line in one.candidates)


def _changes(one: BootKey) -> bool:
    """Say whether a sysctl surely holds something else after the next boot."""
    after = one.value if one.winner is not None else one.default
    return one.current is not None and after is not None and after != one.current


def _is_uncertain(one: BootKey, answer: Boot) -> bool:
    """Say whether something was not seen that may decide a sysctl."""
    fields = {"value", "keys.value", f"{one.name}.value"}
    # Of an assumed program the first sentence tells, once for all.
    gaps_of_it = (gap for gap in answer.gaps if gap.source != PROGRAM)
    return any(fields.intersection(gap.affects) for gap in gaps_of_it)


def _others(answer: Boot, style: Style) -> list[str]:
    """Return what else sets the sysctls, each in a sentence of its own."""
    told = [w for w in answer.writers if w.kind in {PROCESS, TRACE}]
    if not told:
        return [""] if answer.notes else []
    whose = "them" if len(answer.keys) > 1 else "it"
    lines = ["", *flow(f"Beside the boot program, these may set {whose}:", style)]
    for writer in told:
        value = f" The value there is {in_sentence(writer.value, style)}." if writer.value else ""
        sentence = printable(writer.sentence.rstrip(".")) + "."
        when = "" if writer.key == EVERY_KEY else value
        lines += flow(sentence + when, style, indent="  ", hang="    ")
    return lines


# For programs.

CSV_COLUMNS = (
    "program",
    "program_version",
    "name",
    "key",
    "value",
    "winner_file",
    "winner_line",
    "current",
    "default",
    "programs_differ",
    "candidate_program",
    "candidate_file",
    "candidate_line",
    "candidate_value",
    "outcome",
    "by_file",
    "by_line",
    "reason",
)


def as_json(answer: Boot) -> str:
    """Return one JSON object: flat for one sysctl, with a list for several."""
    return document.as_json(of_each_key(answer)[0] if len(answer.keys) == 1 else answer)


def as_jsonl(answer: Boot) -> str:
    """Return one line a sysctl, each the object that is told of it alone."""
    return "".join(map(as_json_line, of_each_key(answer)))


def as_csv_text(answers: Sequence[Boot]) -> str:
    """Return a line for each line of a file that names a sysctl, or one where none does."""
    return as_csv(CSV_COLUMNS, _csv_rows(answers))


def _csv_rows(answers: Sequence[Boot]) -> Iterator[tuple[object, ...]]:
    """Yield the fields of each line of each sysctl."""
    for answer in answers:
        for one in answer.keys:
            winner = one.winner
            fields = (
                answer.program,
                answer.program_version,
                one.name,
                one.key,
                one.value,
                winner.file if winner else None,
                winner.line if winner else None,
                one.current,
                one.default,
                one.programs_differ,
            )
            for line in one.candidates or (None,):
                yield (*fields, *_csv_fields(line))


def _csv_fields(line: BootCandidate | None) -> tuple[object, ...]:
    """Return the fields of one line, all empty where there is none."""
    if line is None:
        return (None,) * 8
    by = line.by
    return (
        line.program,
        line.file,
        line.line,
        line.value,
        line.outcome,
        by.file if by else None,
        by.line if by else None,
        line.reason,
    )
