"""
Trials that wait for their confirmation, as everybody may see them.

Rules of this file:

- it costs the listing of one folder, and needs no right;
- a file there is a pointer and may be anything: what cannot be understood is a
  Gap that names it;
- the journal decides what a trial is, ``change.recover`` what to do about it.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import stat
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from portroom.kernel.files import PROC, SAFELY, read_text
from portroom.kernel.locks import read_holders
from portroom.model.facts.gaps import Gap
from portroom.model.facts.trial import BrokenOff, PendingTrial, TrialFile

RUN = "/run/portroom"

USERS = "/run/user"
"""
Where the folders of those lie who are logged in, each its owner's alone.

Source: user@.service(5), pam_systemd(8).
"""

GUARD = "--guard"
"""The word that a guardian has in its command line."""

PREFIX = "trial-"
NUMBER_DIGITS = 10

LARGEST_FILE_BYTES = 1 << 20
"""What the words of a command line and a name for each of 10,000 namespaces need, and more."""

MOST_FILES = 1000

AFFECTS = ("trials",)


class TrialsSeen(msgspec.Struct, frozen=True):
    """
    The trials of this boot, the first number first, and what was not understood.

    ``broken_off`` are changes that nobody goes on with, see ``kernel.broken_off``.
    """

    trials: tuple[PendingTrial, ...] = ()
    gaps: tuple[Gap, ...] = ()
    broken_off: tuple[BrokenOff, ...] = ()


class TrialFound(NamedTuple):
    """A trial of this boot, its file and the path of that."""

    trial: PendingTrial
    file: TrialFile
    path: str


def users_folders(users: str = USERS, proc: str = PROC) -> tuple[str, ...]:
    """
    Return the folders of trials of single users, as far as the caller may see them.

    Those of users who are logged in, and those in which a guardian is awake.
    """
    found: list[str] = []
    with contextlib.suppress(OSError):
        found += [f"{users}/{name}/portroom" for name in sorted(os.listdir(users))]
    with contextlib.suppress(OSError):
        found += [one for pid in read_holders(proc) for one in _guarded_folders(pid, proc)]
    return tuple(filter(_is_folder, dict.fromkeys(found)))


def _guarded_folders(pid: int, proc: str) -> Iterator[str]:
    """Yield the folders of the trials that a process guards, if it is a guardian."""
    try:
        if GUARD not in read_text(f"{proc}/{pid}/cmdline").split("\0"):
            return
        links = [os.readlink(f"{proc}/{pid}/fd/{one}") for one in os.listdir(f"{proc}/{pid}/fd")]
    except OSError:
        return  # it ended, or is somebody else's
    for folder, _, name in (link.rpartition("/") for link in links):
        if number_of(name) is not None:
            yield folder


def _is_folder(path: str) -> bool:
    """Say whether a path is a folder that may be listed, and no link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode) and os.access(path, os.R_OK | os.X_OK)
    except OSError:
        return False


def boottime_s() -> float:
    """
    Return CLOCK_BOOTTIME: it goes on while the machine sleeps, and nobody can set it.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def read_boot_id(proc: str = PROC) -> str:
    """Return what names this boot of the system."""
    return read_text(f"{proc}/sys/kernel/random/boot_id").strip()


def read_trials(run: str = RUN, now_s: float | None = None, boot_id: str = "") -> TrialsSeen:
    """Return the trials that have a file in *run*, see ``find_trials``."""
    found, gaps = find_trials(run, now_s, boot_id)
    return TrialsSeen(tuple(one.trial for one in found), tuple(gaps))


def find_trials(
    run: str, now_s: float | None = None, boot_id: str = ""
) -> tuple[list[TrialFound], list[Gap]]:
    """
    Return the trials that have a file in *run*, and a Gap for each that is damaged.

    Args:
        run: The folder.
        now_s: The time on CLOCK_BOOTTIME, None for now.
        boot_id: The boot that trials must be of, "" for this one.
    """
    numbers, gaps = _numbers(run)
    trials: list[TrialFound] = []
    for number in numbers:
        path = f"{run}/{PREFIX}{number}"
        try:
            now = boottime_s() if now_s is None else now_s
            found = _read(path, number, boot_id or read_boot_id(), now)
        except FileNotFoundError:
            continue  # it ended since the folder was listed
        except OSError as error:
            gaps.append(_damaged(path, error.strerror or "it cannot be read"))
            continue
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            gaps.append(_damaged(path, str(error)))
            continue
        if found is not None:
            trials.append(found)
    return trials, gaps


def _damaged(path: str, reason: str) -> Gap:
    """Return what is told of a file that is none of a trial."""
    return Gap(path, f"this file of a trial cannot be understood: {reason}", AFFECTS)


def _numbers(run: str) -> tuple[list[int], list[Gap]]:
    """Return the numbers of the files in a folder, sorted, and what was left out."""
    try:
        names = os.listdir(run)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [Gap(run, f"trials cannot be looked for: {error.strerror}", AFFECTS)]
    found = sorted(filter(None, map(number_of, names)))
    if len(found) > MOST_FILES:
        return found[:MOST_FILES], [Gap(run, f"it holds {len(found)} files of trials", AFFECTS)]
    return found, []


def numbers_of(run: str) -> frozenset[int]:
    """Return the numbers of the trials that have a file in a folder, of whatever boot."""
    try:
        return frozenset(filter(None, map(number_of, os.listdir(run))))
    except OSError:
        return frozenset()


def number_of(name: str) -> int | None:
    """
    Return the number in the name of a trial's file, None for another file.

    >>> number_of("trial-12"), number_of("trial-012"), number_of("lock")
    (12, None, None)
    """
    digits = name.removeprefix(PREFIX)
    is_one = name.startswith(PREFIX) and digits.isascii() and digits.isdecimal()
    if not is_one or digits.startswith("0") or len(digits) > NUMBER_DIGITS:
        return None
    return int(digits)


def _read(path: str, number: int, boot_id: str, now_s: float) -> TrialFound | None:
    """
    Return what the file of a trial says, None for one of another boot.

    Raises:
        OSError: It may not be read.
        ValueError: It is no file of a trial.
    """
    descriptor = os.open(path, SAFELY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        # Of a file of this size one read gives all.
        content = os.read(descriptor, LARGEST_FILE_BYTES)
        guarded = _is_locked(descriptor)
    finally:
        os.close(descriptor)
    file = msgspec.json.decode(content, type=TrialFile)
    if file.number != number or not math.isfinite(file.deadline_boottime_s):
        raise ValueError(f"it is not that of trial {number}")
    if file.boot_id != boot_id:
        return None
    left_s, names = file.deadline_boottime_s - now_s, ", ".join(file.netns)
    trial = PendingTrial(
        number, file.words, names, left_s, guarded, file.put_back, uid=status.st_uid
    )
    return TrialFound(trial, file, path)


def _is_locked(descriptor: int) -> bool:
    """
    Say whether somebody holds the lock of an open file.

    The guardian locks its file before it gives it this name, so a look at it
    is never in its way.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def is_guarded(run: str, number: int) -> bool:
    """Say whether a guardian is awake for a trial."""
    try:
        descriptor = os.open(f"{run}/{PREFIX}{number}", SAFELY)
    except OSError:
        return False
    try:
        return _is_locked(descriptor)
    finally:
        os.close(descriptor)
