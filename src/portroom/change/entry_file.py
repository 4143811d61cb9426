"""The file of one journal entry: a line of JSON, and what makes it credible.

Rules of this file: a file is believed as a whole or not at all; who reads it
may act on it as root, so nothing in it is taken that portroom would not have
written.
"""

from __future__ import annotations

import datetime
import stat
from collections.abc import Mapping

import msgspec

from portroom.errors import RefusedError
from portroom.model.facts.answers import SCHEMA_VERSION
from portroom.model.facts.change import FileContent, FileStep, Step
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

YEARS = range(1970, 9999)
"""What a clock shows, and every time zone has a name for."""

FILE_MODES = 0o777 & ~(stat.S_IWGRP | stat.S_IWOTH)
"""All that a file of portroom's own can have: one that others may write is not read."""


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
    for instant in (entry.started_at, entry.ended_at, entry.trial and entry.trial.deadline_at):
        if isinstance(instant, datetime.datetime):
            _check_instant(instant)
    for step in entry.steps:
        _check_step(step)
    for change in entry.changes:
        _check_key(change.key)
    _check_values(entry.trial.values if entry.trial else {})


def _check_instant(instant: datetime.datetime) -> None:
    """Check that everybody can say when that was."""
    if instant.tzinfo is None:
        raise ValueError("it is damaged: a time has no time zone")
    try:
        year = instant.astimezone(datetime.UTC).year
    except OverflowError:
        year = 0
    if year not in YEARS:
        raise ValueError("it is damaged: a time is none that a clock shows")


def _check_step(step: Step) -> None:
    """Check that a step is one that portroom could have made."""
    if isinstance(step, FileStep):
        _check_file(step)
        return
    for text in (step.before, step.after):
        _check_values({step.key: text})


def _check_file(step: FileStep) -> None:
    """Check that a file is one of portroom's own, before and after."""
    if step.path not in OWN_PATHS:
        raise ValueError(f"portroom does not write {step.path[:QUOTED_LETTERS]!r}")
    for content in filter(None, (step.before, step.after)):
        _check_mode(content)


def _check_mode(content: FileContent) -> None:
    """Check the permission bits of a file."""
    if content.mode & ~FILE_MODES:
        raise ValueError(f"portroom writes no file of mode {content.mode:#o}")


def _check_values(values: Mapping[str, str]) -> None:
    """Check that each text is a value of its sysctl, which is one that portroom writes."""
    for key, text in values.items():
        _check_key(key)
        try:
            parse_value(WRITABLE[key].type, text)
        except ValueError as error:
            raise ValueError(f"{key}: {str(error)[:QUOTED_LETTERS]}") from None


def _check_key(key: str) -> None:
    """Check that a sysctl is one that portroom writes."""
    if key not in WRITABLE:
        raise ValueError(f"portroom does not write {key[:QUOTED_LETTERS]!r}")
