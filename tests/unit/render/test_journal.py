"""The journal is a line a change, the latest first."""

import csv
import io
import json

import jsonschema
import msgspec

from portroom.model.facts.journal import Who
from portroom.render import journal as screen
from portroom.render import schema
from portroom.render.units import Style, columns
from tests.unit.render import change_examples as made
from tests.unit.render.examples import HOSTILE, netns

ENTRIES = (
    made.UNDONE,
    made.entry(undone_by=13),
    made.entry(11, phase="writing", outcome="", where=netns()),
    made.entry(10, phase="put_back", outcome="put back after a crash"),
)


SCREEN = Style(80)


def told(*entries, style=SCREEN, trials=()):
    """Return the text of a journal."""
    return screen.as_text(made.journal(*entries, trials=trials), style)


def test_each_change_is_a_line():
    """Who is told with the login before sudo; what broke off is told with what to do."""
    expected = """\
NO  WHEN (UTC)           WHO           WHAT               WHERE  OUTCOME
13  2026-03-01 12:00:00  root (alice)  undo of 12         host   done
12  2026-03-01 12:00:00  root (alice)  range=15000-64001  host   undone by 13
11  2026-03-01 12:00:00  root (alice)  range=15000-64001  web    not finished
10  2026-03-01 12:00:00  root (alice)  range=15000-64001  host   put back
1 change is not finished. If none is at work now: portroom recover.

web1, namespace host, 2026-03-01 12:00:00 UTC.
"""
    assert expected == told(*ENTRIES)


def test_an_undo_that_failed_says_so():
    """Nobody takes it for one that took something back; a trial was taken back."""
    failed = msgspec.structs.replace(made.UNDONE, phase="put_back", outcome="No space.")
    ended = msgspec.structs.replace(made.trial_entry(), phase="put_back")

    assert "undo of 12  host   failed\n" in told(failed)
    assert "  taken back\n" in told(ended)


def test_trials_are_told_with_what_is_left():
    """A calm one, one without a guardian, and one that nobody took back."""
    trials = [
        made.pending(),
        made.pending(30.0, guarded=False, number=11),
        made.pending(-9.0, number=10),
    ]
    lines = told(made.trial_entry(), trials=trials).splitlines()

    assert [
        "Trial 12 (range=15000-64001 in host) is taken back in 1 min 20 s, unless",
        "  confirmed: portroom confirm 12.",
        "Trial 11 (range=15000-64001 in host) is taken back in 30 s, unless confirmed:",
        "  portroom confirm 11. No guardian is awake: after that, portroom recover takes",
        "  it back.",
        "Trial 10 (range=15000-64001 in host) expired and was not taken back:",
        "  portroom recover.",
    ] == lines[2:9]


def test_no_change_is_a_sentence():
    """No empty table."""
    assert told().startswith("No change was made with portroom here.\n")


def test_a_narrow_terminal_keeps_number_what_and_outcome():
    """At 40 columns who and when go."""
    lines = told(*ENTRIES, style=Style(40)).splitlines()

    assert max(map(columns, lines)) <= 40
    assert ["NO", "WHAT", "WHERE", "OUTCOME"] == lines[0].split()


def test_wide_has_command_and_outcome():
    """And cuts nothing."""
    text = told(*ENTRIES, style=Style(40, wide=True))

    assert "pts/1     portroom set range=15000-64001  put back after a crash\n" in text


def test_where_is_namespaces_and_the_next_boot():
    """Many namespaces are counted."""
    steps = tuple(step for i in range(9) for step in made.steps((made.WIDER,), netns(f"p{i}", i)))

    assert "host, boot" in told(made.entry(steps=made.KEPT_PLAN.steps))
    assert "9 namespaces" in told(made.entry(steps=steps))
    assert "  boot   " in told(made.entry(steps=(made.file_step(),)))


def test_hostile_text_does_not_act():
    """Users, words, terminals, command lines, namespaces and outcomes may be anything."""
    who = Who(0, HOSTILE, 7, HOSTILE, HOSTILE, 1, (HOSTILE, HOSTILE))
    entry = made.entry(
        who=who,
        request=made.Request((HOSTILE,)),
        outcome=HOSTILE,
        steps=made.steps((made.WIDER,), netns(HOSTILE)),
    )
    trial = msgspec.structs.replace(made.pending(), words=(HOSTILE,), netns=HOSTILE)
    for style in (Style(80), Style(80, wide=True)):
        text = told(entry, style=style, trials=[trial])

        assert {"\n"} >= {letter for letter in text if not letter.isprintable()}


def test_csv_and_json_have_all_entries():
    """A row a change; JSON has each step, as the schema says."""
    journal = made.journal(*ENTRIES, made.trial_entry(persist=True), trials=[made.pending()])
    rows = list(csv.DictReader(io.StringIO(screen.as_csv_text([journal]))))
    document = json.loads(screen.as_json(journal))

    assert ["13", "12", "11", "10", "12"] == [row["number"] for row in rows]
    for field in ("started_at", "ended_at"):
        times = [one[field] or "" for one in document["entries"]]
        assert times == [row[field] for row in rows]
    assert "2026-03-01T12:00:00Z" == rows[0]["started_at"]
    assert ["", "13"] == [row["undone_by"] for row in rows[:2]]
    for command in ("journal", "confirm", "undo", "recover"):
        jsonschema.validate(document, json.loads(schema.as_json_schema(command)))
    assert 5 == len(screen.as_jsonl(journal).splitlines())
