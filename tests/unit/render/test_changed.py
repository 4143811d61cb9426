"""What was done is told with the way back."""

import json

import jsonschema
import msgspec
import pytest

from portroom.model.facts.change import PERSIST, PERSIST_ONLY, Request
from portroom.render import changed as screen
from portroom.render import schema
from portroom.render.plan import UNAPPLIED
from portroom.render.units import Style, columns
from tests.unit.render import change_examples as made

SIGNATURE = "\n\nweb1, namespace host, 2026-03-01 12:00:00 UTC.\n"

KEEP = Request(("range=15000-64001",), PERSIST)


SCREEN = Style(80)


def happened(changed, style=SCREEN, **options):
    """Return what was done, without whose and when."""
    text = screen.happened(changed, style, **options)
    if style.width >= 80:
        assert text.endswith(SIGNATURE.lstrip("\n"))
    return text.partition("\n\nweb1, ")[0]


def test_a_change_is_told_with_its_entry():
    """The number in the journal, that it was read back, and the way back."""
    expected = """\
Done and read back: entry 12 of the journal.
Take it back: portroom undo."""

    assert expected == happened(made.changed(made.plan(), done=made.entry()))


def test_what_is_kept_is_told_with_its_file():
    """The next boot gives the same."""
    done = made.entry(request=KEEP, steps=made.KEPT_PLAN.steps)

    expected = """\
Done and read back: entry 12 of the journal.
The next boot gives the same: /etc/sysctl.d/99-zz-portroom.conf was written.
Take it back: portroom undo."""

    assert expected == happened(made.changed(made.KEPT_PLAN, done=done))


def test_where_no_boot_program_is_known_nothing_is_promised():
    """The file was written, and that nothing is known to apply it is told as in the plan."""
    unknown = msgspec.structs.replace(made.KEPT_PLAN, persistence=made.UNAPPLIED)
    done = made.entry(request=KEEP, steps=made.KEPT_PLAN.steps)
    text = " ".join(happened(made.changed(unknown, done=done)).split())

    assert f"For the next boot {made.FILE} was written; {UNAPPLIED}. Take" in text
    assert "gives" not in text
    assert f"{UNAPPLIED}.\n" in screen.before([unknown], Style(0))


def test_a_file_alone_is_told_so():
    """With --persist-only nobody is led to believe that the kernel has it."""
    request = Request(("range=15000-64001",), PERSIST_ONLY)
    done = made.entry(request=request, steps=(made.file_step(),))
    text = happened(made.changed(made.KEPT_PLAN, done=done))

    assert "The kernel's values were left alone. The next boot gives the new values: " in (
        " ".join(text.split())
    )


@pytest.mark.parametrize("persist", [False, True])
def test_a_trial_is_told_with_its_end_and_how_to_keep_it(persist):
    """Until when, and that the confirmation writes the file, where it does."""
    expected = """\
On trial, read back: entry 12 of the journal. It is taken back in 2 min, at
2026-03-01 12:02:00 UTC, unless you confirm it.
Keep it: portroom confirm 12."""
    file = """ That also writes
/etc/sysctl.d/99-zz-portroom.conf."""
    done = made.trial_entry(persist=persist)

    actual = happened(made.changed(made.KEPT_PLAN, done=done))

    assert f"{expected}{file * persist}\nTake it back now: portroom undo." == actual


def test_a_dry_run_says_so():
    """So does a plan of which nothing was written for another reason."""
    nothing = made.changed(made.plan())

    assert "Dry run: nothing was written." == happened(nothing, dry_run=True)
    assert "Nothing was written." == happened(nothing)


def test_a_dry_run_tells_of_the_trial_that_would_refuse_it():
    """Each one, whose it is, in lines that fit."""
    theirs = made.pending(number=7, uid=1000)
    text = happened(
        made.changed(made.plan()), Style(40), dry_run=True, pending=[made.pending(), theirs]
    )

    assert max(map(columns, text.splitlines())) <= 40
    assert (
        """\
Trial 12 (range=15000-64001 in host) is
pending: until it ends, nothing else is
changed there, and this would be
refused.
Trial 7 of uid 1000"""
        in text
    )
    assert text.endswith("Dry run: nothing was written.")


def test_the_outcome_is_one_sentence_for_csv():
    """With the entry, and how to keep a trial; none where nothing was done."""
    tried = made.changed(made.KEPT_PLAN, done=made.trial_entry(persist=True))

    assert "" == screen.outcome(made.changed(made.plan()))
    assert screen.outcome(tried).startswith("On trial, read back: entry 12 of the journal. ")
    assert screen.outcome(tried).isprintable()
    assert f"portroom confirm 12. That also writes {made.FILE}." in screen.outcome(tried)


def test_the_plan_stands_above_what_was_done():
    """Between both is a blank line, and nothing to do is told by the plan alone."""
    whole = screen.as_text(made.changed(made.plan(), done=made.entry()), Style(80))

    assert "15000-64001\n\nDone and read back" in whole
    assert f"Nothing to do: range is 15000-64001 already.{SIGNATURE}" == screen.as_text(
        made.changed(made.NOTHING), Style(80)
    )


def test_a_table_is_told_of_one_namespace_too():
    """Whoever asked for all namespaces sees the table, be there one or many."""
    assert screen.before([made.plan()], Style(80), as_table=True).startswith(
        "1 of 1 network namespace to change."
    )


@pytest.mark.parametrize("width", [40, 80])
def test_no_line_is_longer_than_the_terminal(width):
    """Commands and paths stay whole, and fit."""
    tried = made.changed(made.KEPT_PLAN, done=made.trial_entry(persist=True))
    text = screen.happened(tried, Style(width))

    assert max(map(columns, text.splitlines())) <= width


def test_json_is_as_the_schema_says():
    """Changed, refused and nothing to do; a missing entry is null."""
    rules = json.loads(schema.as_json_schema("set"))
    for changed in (
        made.changed(made.KEPT_PLAN, done=made.trial_entry(persist=True)),
        made.changed(made.REFUSED_PLAN),
        made.changed(made.NOTHING),
    ):
        told = json.loads(screen.as_json(changed))

        jsonschema.validate(told, rules)
        assert (changed.entry is None) == (told["entry"] is None)
        assert json.loads(screen.as_jsonl(changed)) == told


def test_csv_is_that_of_the_plans():
    """A line a setting."""
    assert 3 == screen.as_csv_text([made.changed(made.KEPT_PLAN)]).count("\n")


def test_a_file_that_gives_place_to_another_is_told():
    """The old one is removed where another name is needed to win."""
    other = msgspec.structs.replace(made.file_step(made.CONTENT, None), path="/etc/sysctl.d/old")
    done = made.entry(request=KEEP, steps=(made.file_step(), other))
    text = " ".join(happened(made.changed(made.KEPT_PLAN, done=done)).split())
    planned = msgspec.structs.replace(made.KEPT_PLAN, steps=done.steps)

    assert f"{made.FILE} was written and /etc/sysctl.d/old was removed." in text
    assert f"Next boot: {made.FILE} is made and /etc/sysctl.d/old is removed; " in " ".join(
        screen.before([planned], SCREEN).split()
    )
