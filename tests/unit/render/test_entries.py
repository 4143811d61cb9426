"""What confirm, undo and recover touched is told entry by entry."""

import msgspec
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


def test_what_was_put_back_goes_from_what_it_had_to_what_it_has():
    """A trial that ended, or that an undo would end, and a file that is gone again."""
    expected = """\
Entry 12: set range=15000-64001, in host
  range     15000-64001        →  32768-60999
  reserved  15672,30000-32767  →  none
  /etc/sysctl.d/99-zz-portroom.conf is removed"""
    back = made.entry(phase="put_back", outcome="Taken back.", steps=made.KEPT_PLAN.steps)
    tried = msgspec.structs.replace(back, phase="trial", outcome="", trial=made.trial_entry().trial)

    assert f"{expected}\n  Taken back." == touched(back)
    assert f"{expected}\n\nDry run: nothing was written." == touched(tried, dry_run=True)
    assert "15000-64001\n" in touched(tried)


def test_after_a_reboot_no_value_is_told():
    """The boot gave them another value, whatever that is; the file was taken back."""
    back = made.entry(
        phase="put_back", outcome="Put back by the reboot.", steps=made.KEPT_PLAN.steps
    )

    assert """\
Entry 12: set range=15000-64001, in host
  /etc/sysctl.d/99-zz-portroom.conf is removed
  Put back by the reboot.""" == touched(back)


def test_a_file_alone_is_told_without_values():
    """Nobody is led to believe that the kernel has another value."""
    undo = msgspec.structs.replace(made.UNDONE, steps=(made.file_step(made.CONTENT, None),))
    expected = """\
Entry 13: undo of entry 12
  /etc/sysctl.d/99-zz-portroom.conf is removed
  The kernel's values stay as they are."""

    assert f"{expected}\n  taken back." == touched(undo)
    assert f"{expected}\n\nDry run: nothing was written." == touched(undo, dry_run=True)


@pytest.mark.parametrize("phase", ["conflict", "namespace_gone"])
def test_what_was_left_has_no_arrow(phase):
    """The outcome knows what became of each value, and no arrow would be right."""
    text = touched(made.entry(phase=phase, outcome="Left as it is: x."))

    assert "→" not in text
    assert "Left as it is: x." in text


def test_values_stand_below_their_namespace():
    """Where several do not get the same; what some share is told once."""
    reuse = made.SettingChange("tcp_tw_reuse", made.REUSE.key, 0, 1)
    web, pods = netns("web", 7), [netns(f"pod{number}", number) for number in range(2)]
    steps = (
        *made.steps((made.WIDER, made.REUSE), web),
        *(step for pod in pods for step in made.steps((made.WIDER, reuse), pod)),
    )

    assert """\
Entry 12: set range=15000-64001, in web, pod0 and pod1
  web, pod0 and pod1:
    range  32768-60999  →  15000-64001
  web:
    tcp_tw_reuse  2  →  1
  pod0 and pod1:
    tcp_tw_reuse  0  →  1
  written and read back.
  Take it back: portroom undo.""" == touched(made.entry(steps=steps))


def test_values_of_a_namespace_that_is_gone_are_not_told():
    """What is told is what was written, not what once was asked for."""
    undo = msgspec.structs.replace(
        made.UNDONE, changes=(made.WIDER, made.REUSE), steps=made.steps((made.WIDER,))
    )

    assert "tcp_tw_reuse" not in touched(undo)


def test_a_setting_of_another_version_is_told_as_it_stands():
    """The journal may be older, or younger, than this program."""
    other = made.SettingStep(netns(), "net.ipv4.something", "1", "2")
    broken = made.SettingStep(netns(), made.RANGE_KEY, "1", "x y z")
    text = touched(made.entry(steps=(other, broken)))

    assert "net.ipv4.something            1  →  2\n" in text
    assert "net.ipv4.ip_local_port_range  1  →  x y z\n" in text


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
