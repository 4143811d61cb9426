"""What confirm, undo and recover touched is told entry by entry."""

import pytest

from portroom.render import entries as screen
from portroom.render.units import Style, columns
from tests.unit.render import change_examples as made
from tests.unit.render.examples import HOSTILE, netns

SIGNATURE = "\n\nweb1, namespace host, 2026-03-01 12:00:00 UTC.\n"


SCREEN = Style(80)


def touched(*entries, style=SCREEN, trials=(), **options):
    """Return what was touched, without whose and when."""
    journal = made.journal(*entries, trials=trials)
    text = screen.touched_text(journal, style, "Nothing to recover.", **options)
    assert text.endswith(SIGNATURE)
    return text.removesuffix(SIGNATURE)


def test_a_confirmed_change_is_told_with_its_file():
    """What was asked for and where, the values, the file, and how it ended."""
    expected = """\
Entry 12: set range=15000-64001, in host
  reserved  none         →  15672,30000-32767
  range     32768-60999  →  15000-64001
  /etc/sysctl.d/99-zz-portroom.conf is made
  written and read back.
  Take it back: portroom undo."""
    kept = made.entry(steps=made.KEPT_PLAN.steps, changes=made.KEPT_PLAN.changes)

    assert expected == touched(kept)


def test_an_undo_names_what_it_took_back():
    """And in a dry run it says that nothing was written."""
    expected = """\
Entry 13: undo of entry 12, in host
  range  32768-60999  →  15000-64001"""

    assert f"{expected}\n  taken back." == touched(made.UNDONE)
    assert f"{expected}\n\nDry run: nothing was written." == touched(made.UNDONE, dry_run=True)


def test_nothing_is_a_sentence():
    """That of the command."""
    assert "Nothing to recover." == touched()


def test_a_trial_that_still_waits_is_told():
    """Recover leaves it, and says so."""
    text = touched(made.trial_entry(), trials=[made.pending()])

    assert "On trial until 2026-03-01 12:02:00 UTC.\n\nTrial 12 (" in text


@pytest.mark.parametrize("phase", screen.PHASES)
def test_every_phase_has_words(phase):
    """How an entry stands is told, with its outcome where there is one."""
    word, _ = screen.PHASES[phase]

    told = "why." if phase in screen.CALM else f"{word}: why."
    assert f"\n  {told}" in touched(made.entry(phase=phase, outcome="why."))
    assert f"  {word}." in touched(made.entry(phase=phase, outcome=""))


def test_what_was_left_to_somebody_else_is_the_error():
    """A conflict is a sentence with the number of the entry."""
    left = made.entry(phase="conflict", outcome="range is 20000-60999 now: left as it is.")

    assert "Entry 12: range is 20000-60999 now: left as it is." == screen.conflict(
        made.journal(made.UNDONE, left)
    )
    assert "" == screen.conflict(made.journal(made.UNDONE))


def test_many_namespaces_are_counted():
    """An entry may be about hundreds; its values are told once."""
    steps = tuple(step for i in range(9) for step in made.steps((made.WIDER,), netns(f"p{i}", i)))
    text = touched(made.entry(steps=steps, changes=(made.WIDER,) * 9))

    assert text.startswith("Entry 12: set range=15000-64001, in 9 namespaces\n")
    assert 1 == text.count("32768-60999")


def test_wide_has_every_step():
    """In the order of writing, with what the file holds."""
    text = touched(made.entry(steps=made.KEPT_PLAN.steps), style=Style(80, wide=True))

    assert "   3  file   /etc/sysctl.d/99-zz-portroom.conf  none         77 bytes\n" in text


def test_hostile_text_does_not_act():
    """Words, names and outcomes may be anything, at any width."""
    entry = made.entry(
        request=made.Request((HOSTILE,)),
        outcome=HOSTILE,
        steps=made.steps((made.WIDER,), netns(HOSTILE)),
    )
    for style in (SCREEN, Style(80, wide=True)):
        text = touched(entry, style=style)

        assert {"\n"} >= {letter for letter in text if not letter.isprintable()}


def test_no_line_is_longer_than_a_narrow_terminal():
    """40 columns do."""
    kept = made.entry(steps=made.KEPT_PLAN.steps, changes=made.KEPT_PLAN.changes)

    text = screen.touched_text(made.journal(kept), Style(40), "")

    assert max(map(columns, text.splitlines())) <= 40
