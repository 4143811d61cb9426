"""The file of one journal entry: a line of JSON, and what makes it credible.

Rules of this file: a file is believed as a whole or not at all; who reads it
may act on it as root, so nothing in it is taken that portroom would not have
written.
"""

from __future__ import annotations

import datetime

import msgspec

from portroom.errors import RefusedError
from portroom.model.facts.answers import SCHEMA_VERSION
from portroom.model.facts.change import SettingStep, Step
from portroom.model.facts.journal import (
    CONFLICT,
    DONE,
    NETNS_GONE,
    OPEN,
    PERSISTING,
    PUT_BACK,
    SET,
    TRIAL,
    UNDO,
    Entry,
)
from portroom.model.facts.settings import SETTINGS, parse_value
from portroom.model.facts.sysctl_files import OWN_PATHS

PHASES = OPEN | {DONE, PUT_BACK, CONFLICT, NETNS_GONE}
ACTIONS = frozenset({SET, UNDO})
WRITABLE = {setting.key: setting for setting in SETTINGS if setting.writable}

QUOTED_LETTERS = 200


class _Version(msgspec.Struct):
    """What is read first: a later version may look otherwise."""

    schema_version: int


def encode(entry: Entry) -> bytes:
    """
    Return the file of an entry.

    Raises:
        RefusedError: It holds text that is none.
    """
    try:
        # A new line at the end, for people who read it with cat.
        return msgspec.json.encode(entry) + b"\n"
    except UnicodeEncodeError:
        raise RefusedError(
            "The change holds bytes that are no UTF-8, which the journal cannot keep.",
            "Give names as UTF-8.",
        ) from None


def decode(content: bytes, number: int) -> Entry:
    """
    Return the entry that a file holds.

    Args:
        content: All of the file.
        number: The number that its name says.

    Raises:
        ValueError: It is damaged, foreign or of a later version; the message is
            a clause that says so.
    """
    try:
        version = msgspec.json.decode(content, type=_Version).schema_version
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"it has version {version}, and this portroom knows version {SCHEMA_VERSION}"
            )
        entry = msgspec.json.decode(content, type=Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise ValueError(f"it is damaged: {str(error)[:QUOTED_LETTERS]!r}") from None
    _check(entry, number)
    return entry


def _check(entry: Entry, number: int) -> None:
    """Check what types do not tell."""
    if entry.number != number:
        raise ValueError(f"it is damaged: it says that it is number {entry.number}")
    if entry.phase not in PHASES or entry.action not in ACTIONS:
        told = f"{entry.action} {entry.phase}"[:QUOTED_LETTERS]
        raise ValueError(f"it is damaged: {told!r} is nothing that a change can be")
    if entry.is_open and not entry.steps:
        raise ValueError("it is damaged: it is open and has no steps")
    if entry.phase in {TRIAL, PERSISTING} and entry.trial is None:
        raise ValueError("it is damaged: it is a trial without a deadline")
    instants = [entry.started_at, entry.ended_at, entry.trial and entry.trial.deadline_at]
    if any(isinstance(one, datetime.datetime) and one.tzinfo is None for one in instants):
        raise ValueError("it is damaged: a time has no time zone")
    for step in entry.steps:
        _check_step(step)


def _check_step(step: Step) -> None:
    """Check that a step is one that portroom could have made."""
    if not isinstance(step, SettingStep):
        if step.path not in OWN_PATHS:
            raise ValueError(f"portroom does not write {step.path[:QUOTED_LETTERS]!r}")
        return
    setting = WRITABLE.get(step.key)
    if setting is None:
        raise ValueError(f"portroom does not write {step.key[:QUOTED_LETTERS]!r}")
    for text in (step.before, step.after):
        try:
            parse_value(setting.type, text)
        except ValueError as error:
            raise ValueError(f"{step.key}: {str(error)[:QUOTED_LETTERS]}") from None
