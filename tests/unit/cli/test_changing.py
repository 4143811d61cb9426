"""A plan is told, agreed to and carried out in this order, and nothing is lost on the way."""

import io
import sys

import pytest

from portroom.cli import changing
from portroom.errors import NotPermittedError, NotSupportedError, RefusedError, WriteError
from tests.unit.render import change_examples as made


class Answers(io.StringIO):
    """A standard input on which somebody types."""

    def isatty(self):
        """Say that it is a terminal."""
        return True


@pytest.mark.parametrize("typed", ["y\n", "Y\n", " yes \n", "y"])
def test_a_yes_agrees(monkeypatch, capsys, typed):
    """In any case, with blanks around."""
    monkeypatch.setattr(sys, "stdin", Answers(typed))

    changing.agree([made.plan(), made.plan()], needed=True)

    assert "Change 2 network namespaces? [y/N] " == capsys.readouterr().err


@pytest.mark.parametrize("typed", ["", "\n", "n\n", "yep\n", "j\n"])
def test_all_else_is_a_no(monkeypatch, typed):
    """Also no answer at all."""
    monkeypatch.setattr(sys, "stdin", Answers(typed))

    with pytest.raises(RefusedError, match="nothing was written"):
        changing.agree([made.plan()], needed=True)


def test_nobody_is_asked_without_need(monkeypatch):
    """Neither for one namespace, nor where nothing changes."""
    monkeypatch.setattr(sys, "stdin", None)

    changing.agree([made.plan()], needed=False)
    changing.agree([made.NOTHING], needed=True)


def test_without_a_terminal_nobody_can_be_asked(monkeypatch):
    """Be it closed or a file; both sides are needed."""
    monkeypatch.setattr(sys, "stdin", None)

    assert not changing.can_ask()
    with pytest.raises(changing.click.UsageError):
        changing.check_can_ask(needed=True)
    changing.check_can_ask(needed=False)


@pytest.mark.parametrize("kind", [NotPermittedError, NotSupportedError])
def test_what_cannot_be_read_is_a_change_not_made(kind):
    """It ends with 4 where a change was asked for, with the same words."""
    with pytest.raises(kind, match=r"^No. Do so\.$") as raised, changing.as_change():
        raise kind("No.", "Do so.")

    assert 4 == raised.value.exit_status


def test_a_refused_plan_is_told_to_programs_too(capsys):
    """JSON with an entry of null, then the error."""
    with pytest.raises(RefusedError, match="--reserve or --force lifts it"):
        changing.stop_refused([made.REFUSED_PLAN], "json", plain=False)

    assert '"entry": null' in capsys.readouterr().out


def test_nothing_is_refused_of_a_good_plan(capsys):
    """And nothing is told before it is carried out."""
    changing.stop_refused([made.KEPT_PLAN], "json", plain=False)

    assert "" == capsys.readouterr().out


def test_a_report_that_goes_nowhere_is_an_error_only_if_nothing_was_done(capsys):
    """A change that was made is told on stderr."""
    with pytest.raises(WriteError), changing.told_anyway(None):
        raise WriteError("full")

    with changing.told_anyway(12):
        raise BrokenPipeError
    assert "it was done (entry 12 of the journal)" in capsys.readouterr().err
