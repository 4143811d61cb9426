"""One step of a change: look, write, put back, and say how it is mended by hand.

Rules of this file:

- values are compared, not texts;
- what is neither as a step found it nor as it, or a writer that died in it,
  left it was changed by somebody else, and is left alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

from portroom.change import persist
from portroom.change.held import Held, key_of
from portroom.change.persist import OwnFile
from portroom.change.settings import (
    canonical,
    pieces,
    probe_setting,
    read_canonical,
    shown,
    torn_texts,
    write_setting,
)
from portroom.errors import PortroomError, RollbackError, WriteError
from portroom.kernel.namespaces import find_again
from portroom.kernel.sysctl import sysctl_path
from portroom.model.facts.change import FileContent, FileStep, SettingStep, Step
from portroom.model.facts.snapshot import NetnsId

Result = TypeVar("Result")

OWN_NAMESPACE = "/proc/thread-self/"
"""How the path begins that only opens the namespace of whoever looks."""


class Restored(NamedTuple):
    """
    What became of a step that was put back.

    Args:
        written: Whether anything was written.
        conflict: A clause about what somebody else changed and was left, "" for nothing.
        left_over: A clause about what is left beside a file that is as before, likewise.
    """

    written: bool = False
    conflict: str = ""
    left_over: str = ""


def subject(step: Step) -> tuple[object, str]:
    """Return what a step is about, alike for two steps about the same."""
    if isinstance(step, FileStep):
        return None, step.path
    return key_of(step.netns), step.key


def conflict(step: Step, held: Held) -> str:
    """
    Return, as a clause, how what is there differs from what a step was made from.

    Raises:
        PortroomError: It cannot be looked at.
    """
    if isinstance(step, FileStep):
        same = persist.read_own(step.path) == _own(step.before)
        return "" if same else f"{step.path} is not what it was"
    now, before = read(step, held), canonical(step.key, step.before)
    return "" if now == before else f"{_name(step)} is {shown(now)}, and was {shown(before)}"


def as_found(step: Step, held: Held) -> Step:
    """
    Return a step, or where its aim is reached already one that writes nothing.

    Raises:
        PortroomError: It cannot be looked at.
    """
    met = msgspec.structs.replace(step, before=step.after)
    return met if conflict(step, held) and not conflict(met, held) else step


def probe(step: Step, held: Held) -> None:
    """
    Check that the setting of a step may be written; a file is tried when it is written.

    Raises:
        PortroomError: It may not.
    """
    if isinstance(step, SettingStep):
        _inside(step.netns, held, lambda: probe_setting(step.key))


def write(step: Step, held: Held) -> None:
    """
    Write one step.

    Raises:
        PortroomError: It was refused; what is there then must be looked at.
    """
    if isinstance(step, FileStep):
        _exchange(step, step.before, step.after)
    elif step.before != step.after:
        _set(step, step.after, held)


def leaves_nothing(step: Step, error: PortroomError) -> bool:
    """Say whether a write that failed with *error* left what there was, and told so."""
    return isinstance(step, FileStep) and not isinstance(error, RollbackError)


def restore(step: Step, held: Held) -> Restored:
    """
    Put one step back, and return what became of it.

    Raises:
        PortroomError: It cannot be looked at, or not be put back.
    """
    return _restore_file(step) if isinstance(step, FileStep) else _restore_setting(step, held)


def _restore_setting(step: SettingStep, held: Held) -> Restored:
    """Put a setting back, see ``restore``."""
    now, before = read(step, held), canonical(step.key, step.before)
    if now == before:
        return Restored()
    ours = now == canonical(step.key, step.after) or any(
        now in torn_texts(step.key, text) for text in (step.after, step.before)
    )
    if not ours:
        return Restored(conflict=f"{_name(step)} is {shown(now)}, which somebody else set")
    _set(step, before, held)
    return Restored(written=True)


def _restore_file(step: FileStep) -> Restored:
    """Put a file back, see ``restore``; what its writer left beside it is removed."""
    found = persist.read_own(step.path)
    if found == _own(step.before):
        return Restored(left_over=_heal(step, makes_folder=step.makes_folder and found is None))
    if found != _own(step.after):
        return Restored(conflict=f"{step.path} is not what portroom wrote")
    _exchange(step, step.after, step.before)
    return Restored(written=True)


def _heal(step: FileStep, *, makes_folder: bool) -> str:
    """Remove what a writer left beside a file that is right, and tell as a clause what stays."""
    try:
        persist.heal(step.path, makes_folder=makes_folder)
    except PortroomError as error:
        # No boot program reads that, and the next change tries again.
        return f"what lies beside {step.path}, which is as before: {error.message.rstrip('.')}"
    return ""


def read(step: SettingStep, held: Held) -> str:
    """
    Return what the setting of a step holds, as canonical text.

    Raises:
        PortroomError: It cannot be read.
    """
    return _inside(step.netns, held, lambda: read_canonical(step.key))


def _set(step: SettingStep, text: str, held: Held) -> None:
    """Write a value to the setting of a step."""
    _inside(step.netns, held, lambda: write_setting(step.key, text))


def _inside(netns: NetnsId, held: Held, job: Callable[[], Result]) -> Result:
    """Return what *job* returns inside a namespace, which errors name."""
    try:
        return held.run(netns, job)
    except PortroomError as error:
        if netns.kind != "host":
            error.message = f"Network namespace {netns.name!r}: {error.message}"
        raise
    except OSError as error:
        raise WriteError(f"Network namespace {netns.name!r}: {error}.") from None


def _exchange(step: FileStep, before: FileContent | None, after: FileContent | None) -> None:
    """Replace the content of a step's file by another."""
    persist.replace_own(step.path, _own(before), _own(after), makes_folder=step.makes_folder)


def _own(content: FileContent | None) -> OwnFile | None:
    """Return the content of a file as the portable core has it."""
    return None if content is None else OwnFile(content.content, content.mode)


def _name(step: SettingStep) -> str:
    """Return what a person calls the setting of a step."""
    if step.netns.kind == "host":
        return step.key
    return f"{step.key} of network namespace {step.netns.name!r}"


def state(step: Step, held: Held) -> str:
    """Return, as a clause, what is there instead of what was there before a step."""
    if isinstance(step, FileStep):
        return f"{step.path} {_state_of_file(step)}"
    try:
        now = shown(read(step, held))
    except PortroomError:
        now = "what cannot be read"
    return f"{_name(step)} holds {now}, and held {shown(step.before)} before"


def _state_of_file(step: FileStep) -> str:
    """Return, as a predicate, what the file of a step is."""
    try:
        found = persist.read_own(step.path)
    except PortroomError:
        return "cannot be looked at"
    if found == _own(step.after):
        return "is what portroom wrote"
    return "is as before" if found == _own(step.before) else "is not as it was before"


def mend(step: Step) -> str:
    """
    Return the command that puts a step back by hand, "" where there is no such line.

    >>> mend(FileStep("/etc/sysctl.d/90 a.conf", None, FileContent(b"")))
    "rm '/etc/sysctl.d/90 a.conf'"
    """
    if isinstance(step, FileStep):
        # Its content is in the journal alone.
        return f"rm {shlex.quote(step.path)}" if step.before is None else ""
    text = canonical(step.key, step.before)
    if len(pieces(text)) > 1:
        # sysctl would write the first page of it, and tell of no error.
        return ""
    assignment = shlex.quote(f"{step.key}={text}")
    plain = ["sysctl", "-w", assignment] if text else ["sh -c", f"'echo > {sysctl_path(step.key)}'"]
    return " ".join([*_entering(step.netns), *plain])


def _entering(netns: NetnsId) -> list[str]:
    """Return the words before a command that runs it in a namespace, none for the caller's."""
    try:
        ref = find_again(netns)
    except PortroomError:
        ref = None
    if ref is not None and ref.path.startswith(OWN_NAMESPACE):
        return []
    path = ref.path if ref else f"/proc/{netns.pid or 1}/ns/net"
    return ["nsenter", shlex.quote(f"--net={path}")]
