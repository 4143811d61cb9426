"""
A change meets a fault at every system call that changes a file.

The real command runs under strace, which kills it, or lets the call fail, at
one call after the other: before each, what a boot program reads is wholly old
or wholly new, and the next run heals.
"""

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.change_host import RUN, STATE, bury_guardians, on_a_host, reset, state
from tests.e2e.faults import COMMAND, ask, needs_root

pytestmark = [
    needs_root,
    pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed"),
]

CHANGING = (
    "open openat creat write pwrite64 writev fsync fdatasync rename renameat renameat2 link linkat "
    "symlink symlinkat unlink unlinkat mkdir mkdirat rmdir fchmod chmod fchmodat fchown chown "
    "ftruncate truncate utimensat"
).split()
"""System calls that may change a file. strace passes over those the machine does not have."""

OPENS = {"open", "openat", "creat"}
WRITING_FLAGS = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
WRITTEN_AT = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$")

QUIET = {"PYTHONDONTWRITEBYTECODE": "1"}

FAULTS = {"SIGKILL": "signal=KILL", "ENOSPC": "error=ENOSPC", "EIO": "error=EIO"}

FULL = os.environ.get("PORTROOM_TESTS") == "full"


class Point(NamedTuple):
    """A call of a command that changes a file: its name, which of that name, its line."""

    call: str
    nth: int
    line: str


def traced(*words, inject=(), log="/run/strace"):
    """Run the command under strace, and return how it ended."""
    calls = ",".join(f"?{name}" for name in CHANGING)
    options = ["-qq", "-y", "-o", log, "-e", f"trace={calls}", "--signal=none"]
    for one in inject:
        options += ["-e", one]
    return ask(*words, command=["strace", *options, *COMMAND], environment=QUIET)


def points(log="/run/strace"):
    """Return the calls in a trace that change a file below /etc, /var, /run or /proc/sys."""
    found, seen = [], {}
    for line in Path(log).read_text(encoding="utf-8", errors="replace").splitlines():
        match = LINE.match(line)
        if match is None:
            continue
        name, rest = match.groups()
        seen[name] = seen.get(name, 0) + 1
        if changes_a_file(name, rest):
            found.append(Point(name, seen[name], line.strip()))
    return found


def changes_a_file(name, rest):
    """Say whether a call changes a file that the command was asked to change, or its state."""
    if name in OPENS and not WRITING_FLAGS.search(rest):
        return False
    places = re.findall(r'[<"](/[^>"]*)[>"]', rest)
    return any(place.startswith(("/etc", "/var/lib", "/run", "/proc/sys")) for place in places)


def chosen(every):
    """Return the points to try: all of them in the full run, else every sixteenth and the last."""
    return every if FULL else sorted({*every[::16], every[-1]}, key=every.index)


FIRST = ("set", "reserved=8080", "--persist")
WIDEN = ("set", "range=15000-64001", "reserved+=9000-9100", "--persist")
TRIAL = (*WIDEN, "--try-for", "1h")


def done(*words):
    """Run a command that must succeed."""
    ended = ask(*words)
    assert ended.status == 0, ended


def broken_off():
    """Leave a change that died when all was written but the end of its entry."""
    traced(*WIDEN)
    closing = [point for point in points() if point.call.startswith("rename")][-1]
    done("undo")
    ended = traced(*WIDEN, inject=[f"inject={closing.call}:signal=KILL:when={closing.nth}"])
    assert ended.status == -signal.SIGKILL, ended


class Case(NamedTuple):
    """
    A command to be hurt: what is done before, the command itself, and how it may end.

    What a crash left and cannot be put back yet needs a person, or a second try.
    """

    before: Callable[[], object]
    command: tuple[str, ...]
    statuses: tuple[int, ...] = (0, 4)


CASES = {
    "persist": Case(lambda: None, WIDEN),
    "persist again": Case(lambda: done(*FIRST), WIDEN),
    "undo": Case(lambda: (done(*FIRST), done(*WIDEN)), ("undo",)),
    "undo of the first": Case(lambda: done(*WIDEN), ("undo",)),
    "confirm": Case(lambda: done(*TRIAL), ("confirm",)),
    "recover": Case(broken_off, ("recover",), (0, 4, 5)),
}


def seen_now():
    """Return the state of the host, whenever its files say that they were written."""
    now = state()
    files = {
        name: (WRITTEN_AT.sub(b"AT", content), mode) for name, (content, mode) in now.files.items()
    }
    return now._replace(files=files)


def prepared(case):
    """Bring the host to where the command starts, and return its state."""
    bury_guardians()
    reset()
    case.before()
    return seen_now()


def aims(case):
    """Return the states before and after the command, and the points on the way."""
    old = prepared(case)
    ended = traced(*case.command)
    assert ended.status == 0, ended
    return old, seen_now(), points()


def readable_is_whole(seen, old, new):
    """
    Say whether each file that a boot program reads is wholly old or wholly new.
    """
    names = {*seen.readable, *old.readable, *new.readable}
    return all(
        seen.readable.get(name) in (old.readable.get(name), new.readable.get(name))
        for name in names
    )


ATTEMPTS = 5


def hit(case, fault, aim):
    """
    Hurt the command at one point, and return how it ended.

    How often a call of this name comes before depends on the other processes of the
    host, which portroom looks at: where another call was hit, it is tried again.
    """
    for _ in range(ATTEMPTS):
        prepared(case)
        ended = traced(*case.command, inject=[f"inject={aim.call}:{FAULTS[fault]}:when={aim.nth}"])
        if was_hit(fault):
            return ended
    raise AssertionError(f"{fault} never hit {aim.line}")


def was_hit(fault, log="/run/strace"):
    """Say whether the call that was hit is one that changes a file."""
    lines = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    hurt_lines = lines[-1:] if fault == "SIGKILL" else [x for x in lines if "(INJECTED)" in x]
    return all(changes_a_file(*LINE.match(line).groups()) for line in hurt_lines)


def hurt(case, fault, aim, old, new):
    """Hurt the command at one point, and return what is wrong afterwards."""
    ended = hit(case, fault, aim)
    seen = seen_now()
    wrong = []
    if not readable_is_whole(seen, old, new):
        wrong.append(f"torn: {seen.readable}")
    if fault != "SIGKILL" and ended.status not in case.statuses:
        wrong.append(f"exit status {ended.status}: {ended.told}")
    if fault != "SIGKILL" and "Traceback" in ended.told:
        wrong.append(ended.told)
    healed = ask("recover")
    if healed.status != 0:
        wrong.append(f"recover: {healed}")
    after = seen_now()
    wrong += left_behind(after, old, new)
    return [f"{fault} at {aim.line}: {one}" for one in wrong]


def left_behind(after, old, new):
    """Return what is wrong once the next run healed."""
    wrong = []
    if after not in (old, new):
        wrong.append(f"neither old nor new: {after}")
    if after.litter:
        wrong.append(f"left behind: {after.litter}")
    litter = [path.name for folder in (STATE, RUN) for path in folder.rglob("*.new")]
    if litter:
        wrong.append(f"left behind: {litter}")
    entries = [json.loads(path.read_text()) for path in STATE.glob("journal/*.json")]
    still = [one for one in entries if one["phase"] in {"writing", "persisting"}]
    if still:
        wrong.append(f"still open: {still}")
    return wrong


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", CASES)
def test_a_fault_at_any_call_leaves_old_or_new(name, fault):
    """
    Whatever call is hit, boot files are wholly old or new, and the next run heals.
    """

    def job():
        """Hurt the command at each point."""
        case = CASES[name]
        old, new, every = aims(case)
        wrong = []
        for aim in chosen(every):
            wrong += hurt(case, fault, aim, old, new)
        return len(every), wrong

    tried, wrong = on_a_host(job)

    assert [] == wrong
    assert tried > 10


def test_a_dry_run_changes_no_file():
    """
    `set --dry-run` makes no system call that changes a file.
    """

    def job():
        """Trace a dry run that would change everything."""
        reset()
        ended = traced(*WIDEN, "--dry-run")
        return ended, points()

    ended, found = on_a_host(job)

    assert ended.status == 0, ended
    assert [] == found
