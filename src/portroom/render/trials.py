"""Trials that wait for their confirmation, and changes that broke off: what to do now."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.model.facts.trial import BrokenOff, PendingTrial
from portroom.render.flow import TIED, wrap
from portroom.render.units import Style, duration, paint, printable

EXPIRED = "a trial expired and was not taken back: run portroom recover"
"""What every command that only reads tells on stderr when that is so."""

BROKEN_OFF = "change {number} was broken off: run portroom recover"
"""Likewise of a change that a crash left."""


def notices(trials: Sequence[PendingTrial], broken: Sequence[BrokenOff]) -> list[str]:
    """Return what every command that only reads tells on stderr, each sentence once."""
    told = [EXPIRED for trial in trials if trial.is_overdue]
    told += [BROKEN_OFF.format(number=one.number) for one in broken]
    return list(dict.fromkeys(told))


def broken_lines(broken: Sequence[BrokenOff], style: Style) -> list[str]:
    """Return a sentence for each change that a crash left."""
    lines = []
    for one in broken:
        words = " ".join(map(printable, one.words))
        text = f"Change {one.number} ({words}) was broken off: portroom{TIED}recover."
        lines += [paint(line, "red", style) for line in wrap(text, style, hang="  ")]
    return lines


def trial_lines(trials: Sequence[PendingTrial], style: Style) -> list[str]:
    """Return a sentence for each trial, red where it should have been taken back."""
    lines = []
    for trial in {(one.uid, one.number): one for one in trials}.values():
        look = "red" if trial.is_overdue else "yellow"
        text = wrap(trial_sentence(trial), style, hang="  ")
        lines += [paint(line, look, style) for line in text]
    return lines


def trial_sentence(trial: PendingTrial) -> str:
    """
    Return one trial in words, some of its blanks TIED.

    >>> trial_sentence(PendingTrial(12, ("tcp_tw_reuse=1",), "host", -3.0, True))
    'Trial 12 (tcp_tw_reuse=1 in host) expired and is being taken back.'
    """
    name = trial_name(trial)
    by = f", as uid {trial.uid}" if trial.uid else ""
    if trial.is_overdue:
        return f"{name} expired and was not taken back: portroom{TIED}recover{by}."
    if trial.put_back:
        return f"{name} expired. Its values are put back; the journal says so soon."
    if trial.left_s < 0:
        return f"{name} expired and is being taken back."
    keep = f"portroom confirm {trial.number}".replace(" ", TIED)
    text = f"{name} is taken back in {left_text(trial.left_s)}, unless confirmed: {keep}{by}."
    if not trial.guarded:
        text += f" No guardian is awake: after that, portroom{TIED}recover{by} takes it back."
    return text


def trial_name(trial: PendingTrial) -> str:
    """Return which trial it is, in the journal of which user, and what is tried where."""
    words = " ".join(map(printable, trial.words))
    user = f" of uid {trial.uid}" if trial.uid else ""
    return f"Trial {trial.number}{user} ({words} in {printable(trial.netns)})"


def left_text(seconds: float) -> str:
    """
    Return what is left of a trial, in whole seconds.

    >>> left_text(80.7), left_text(0.2)
    ('1 min 20 s', '0 s')
    """
    return duration(int(seconds)) if seconds >= 1 else "0 s"
