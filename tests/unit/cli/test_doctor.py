"""`--strict` decides by what was found, and says when it cannot."""

import io

import pytest

from portroom.cli import doctor
from tests.unit.render import advice_examples as made


class Terminal(io.StringIO):
    """A stderr that a person reads."""

    def isatty(self):
        """Say that it is a terminal."""
        return True


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([made.findings((), unchecked=())], 0),
        ([made.findings([made.PARITY], unchecked=())], 1),  # an info is a finding, too
        ([made.findings(()), made.findings([made.FULL])], 1),
        ([made.findings((), unchecked=()), made.findings(())], 3),
    ],
)
def test_what_is_not_checked_is_neither_yes_nor_no(capsys, answers, expected):
    """A finding is 1, none is 0, none with rules that could not look is 3 with a sentence."""
    actual = doctor.judged(answers)

    assert expected == actual
    said = capsys.readouterr().err
    assert ("not checked: conntrack_near_full, snat_tight." in said) == (expected == 3)


def test_a_name_chooses_its_rule():
    """Of the findings, and of the rules that looked or could not."""
    every = made.findings()

    actual = doctor.chosen(every, ("listener_in_range", "snat_tight"))

    assert ([made.LISTENER], ("listener_in_range",), ("snat_tight",)) == (
        list(actual.findings),
        actual.checked,
        actual.unchecked,
    )
    assert every == doctor.chosen(every, ())


@pytest.mark.parametrize(
    ("stream", "watch_s", "namespaces", "expected"),
    [
        (Terminal, 1.0, 1, "portroom: watching the counters for 1 s …\n"),
        (Terminal, 2.0, 3, "portroom: watching the counters of 3 namespaces for 6 s …\n"),
        (Terminal, 0.5, 1, ""),
        (Terminal, 0.0, 9, ""),
        (io.StringIO, 60.0, 1, ""),
    ],
)
def test_a_wait_is_told_at_a_terminal(monkeypatch, stream, watch_s, namespaces, expected):
    """From a second on, on stderr, and to nobody else."""
    stderr = stream()
    monkeypatch.setattr("sys.stderr", stderr)

    doctor.tell_wait(watch_s, namespaces)

    assert expected == stderr.getvalue()
