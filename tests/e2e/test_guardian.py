"""
A trial takes itself back, whatever becomes of the command, its terminal and its guardian.

On a host without systemd as process 1; see ``test_guardian_systemd.py`` for one with it.
"""

import contextlib
import os
import pty
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import portroom
from tests.e2e.change_host import NET, RUN, STATE, hold, on_a_host, reset
from tests.e2e.faults import (
    CLEAN,
    COMMAND,
    MS_BIND,
    MS_RDONLY,
    MS_REMOUNT,
    NOBODY,
    answered,
    ask,
    mount,
    needs_root,
    open_ways,
    refused,
)
from tests.e2e.trial_host import (
    BEFORE,
    LONG,
    OTHER,
    SETTING,
    TRIED,
    WORD,
    begun,
    command,
    guardian,
    guardians,
    kill,
    now,
    phase,
    tried,
    wait_for,
    wait_for_end,
)
from tests.kernel.harness import wait_until

pytestmark = needs_root

CAP_SYS_RESOURCE = 24
"""Source: Linux include/uapi/linux/capability.h."""

FULL = os.environ.get("PORTROOM_TESTS") == "full"

A_DAY_AHEAD = ["unshare", "--time", "--boottime", "86400", "--fork", "--"]
"""Runs a command on a CLOCK_BOOTTIME that is a day ahead; the time of day is the same."""

EXPIRED = "portroom: a trial expired and was not taken back: run portroom recover\n"


def test_nobody_confirms():
    """
    At the deadline the old value is back, the journal tells so, and nothing is left over.

    Whoever confirms later hears when that was, with exit status 4.
    """

    def job():
        """Try for a second."""
        answer = tried()
        held = now()
        entry = wait_for_end()
        wait_until(lambda: not guardians(), "the guardian is gone")
        left = sorted(path.name for path in RUN.iterdir())
        return answer, held, entry, left, ask("confirm"), ask("confirm", "1"), now()

    answer, held, entry, left, late, named, after = on_a_host(job)

    assert 0 == answer.status, answer
    assert (TRIED, BEFORE) == (held, after)
    assert ("put_back", "Taken back: nobody confirmed it in time.") == (
        entry["phase"],
        entry["outcome"],
    )
    assert ["lock"] == left
    refused(late, 4, "trial 1 was taken back at ", " UTC.")
    refused(named, 4, "trial 1 was taken back at ", " UTC.")


def test_the_guardian_depends_on_nothing_of_the_command():
    """
    It has a session without terminal, no parent, no pipe, no lock, no folder and no signal.
    """

    def job():
        """Try, with a pipe that is read to its end, and look at the guardian."""
        hold(SETTING, "2")
        start = time.monotonic()
        answer = tried(LONG)
        took_s = time.monotonic() - start
        pid = guardian()
        proc = Path(f"/proc/{pid}")

        def files():
            """Return what it has open, while it sleeps."""
            return {str(path.readlink()) for path in proc.joinpath("fd").iterdir()}

        wait_until(lambda: not files() & {"/run/portroom", "/run/portroom/lock"}, "it sleeps")
        words = proc.joinpath("stat").read_text().rpartition(")")[2].split()
        masks = dict(line.split(":\t") for line in proc.joinpath("status").read_text().splitlines())
        for number in (1, 2, 3, 10, 12, 13, 14, 15, 20, 21, 22):
            os.kill(pid, number)
        return {
            "answer": answer,
            "took_s": took_s,
            "parent": int(words[1]),
            "apart": int(words[3]) not in {pid, os.getsid(0)},
            "terminal": int(words[4]),
            "folder": str(proc.joinpath("cwd").readlink()),
            "files": files(),
            "spared": proc.joinpath("oom_score_adj").read_text(),
            "may_be": int(masks["CapEff"], 16) >> CAP_SYS_RESOURCE & 1,
            "ignored": int(masks["SigIgn"], 16),
            "again": guardian(),
            "pid": pid,
        }

    seen = on_a_host(job)

    assert 0 == seen["answer"].status
    assert seen["took_s"] < 10
    assert (1, True, 0, "/") == tuple(
        seen[name] for name in ("parent", "apart", "terminal", "folder")
    )
    kinds = {name.partition(":")[0] for name in seen["files"]}
    assert {"/dev/null", "/memfd", "net"} >= kinds - {"/run/portroom/trial-1"}
    assert "/run/portroom/trial-1" in seen["files"]
    assert ("-900\n" if seen["may_be"] else "0\n") == seen["spared"]
    assert all(seen["ignored"] >> number - 1 & 1 for number in (1, 2, 3, 13, 15, 20))
    assert seen["pid"] == seen["again"]


def named_namespace(name):
    """Make a network namespace with a name, as `ip netns add` does."""
    subprocess.run(["ip", "netns", "add", name], check=True)


def inside(name, setting=SETTING):
    """Return what a setting holds in a namespace."""
    words = ["ip", "netns", "exec", name, "cat", str(NET / setting)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def kill_session(leader, number):
    """Send a signal to every process of a session."""
    for one in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if one.read_text().rpartition(")")[2].split()[3] == str(leader):
                os.kill(int(one.parent.name), number)


LOSSES = {
    "killed": (signal.SIGKILL, os.kill),
    "hung up": (signal.SIGHUP, os.kill),
    "terminated": (signal.SIGTERM, os.kill),
    "interrupted": (signal.SIGINT, os.kill),
    "stopped": (signal.SIGSTOP, os.kill),
    "its group killed": (signal.SIGKILL, os.killpg),
    "its group hung up": (signal.SIGHUP, os.killpg),
    "its group stopped": (signal.SIGSTOP, os.killpg),
    "its session killed": (signal.SIGKILL, kill_session),
}

SOME = (
    "killed",
    "its group killed",
    "its group hung up",
    "its group stopped",
    "its session killed",
)
CHOSEN = LOSSES if FULL else {name: LOSSES[name] for name in SOME}

GOES_ON = '"$@"; sleep 1000 & sleep 1000'
"""A script that calls the command and does not end then."""


def test_who_called_the_command_is_lost():
    """
    However a script that called the command is lost, its group or session: each trial ends.
    """

    def job():
        """Begin one in each of some namespaces, lose all, and wait."""
        callers = []
        for name in CHOSEN:
            named_namespace(name.replace(" ", "-"))
            words = [
                "set",
                WORD,
                "--try-for",
                f"{1 + len(CHOSEN)}s",
                "--netns",
                name.replace(" ", "-"),
            ]
            callers.append(
                subprocess.Popen(
                    ["sh", "-c", GOES_ON, "sh", *command(), *words],
                    env=CLEAN,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
        numbers = range(1, len(CHOSEN) + 1)
        wait_until(lambda: all(phase(one) == "trial" for one in numbers), "all are trials")
        before = {inside(name.replace(" ", "-")) for name in CHOSEN}
        for caller, (number, send) in zip(callers, CHOSEN.values(), strict=True):
            send(caller.pid, number)
        ends = {wait_for_end(one)["phase"] for one in numbers}
        after = {name: inside(name.replace(" ", "-")) for name in CHOSEN}
        for caller in callers:
            kill_session(caller.pid, signal.SIGKILL)
            caller.wait()
        return before, ends, after

    before, ends, after = on_a_host(job)

    assert {TRIED} == before
    assert {"put_back"} == ends
    assert dict.fromkeys(CHOSEN, BEFORE) == after


@pytest.mark.parametrize("lost", ["leader", "session", "terminal"] if FULL else ["terminal"])
def test_its_terminal_is_lost(lost):
    """
    The terminal is closed, its session's leader killed, or every process of the session.
    """

    def job():
        """Begin on a terminal of its own, lose that, and wait."""
        pid, master = pty.fork()
        if pid == 0:
            words = [*command(), "set", WORD, "--try-for", "2s"]
            os.execve("/bin/sh", ["sh", "-c", GOES_ON, "sh", *words], CLEAN)
        guardian()
        wait_for(TRIED)
        if lost == "terminal":
            os.close(master)
        elif lost == "leader":
            os.kill(pid, signal.SIGKILL)
        else:
            kill_session(pid, signal.SIGKILL)
        return wait_for_end()["phase"], now()

    assert ("put_back", BEFORE) == on_a_host(job)


def test_killed_with_all_written_and_the_entry_not_closed():
    """
    A change that did not complete never happened: the guardian does not wait for the deadline.
    """

    def job():
        """Kill the command at the worst moment of a long trial."""
        with begun(LONG, signal=signal.SIGKILL) as process:
            status = process.wait()
        entry = wait_for_end()
        return status, entry["phase"], entry["outcome"], now()

    assert (-9, "put_back", "Put back: it did not complete.", BEFORE) == on_a_host(job)


def test_stopped_with_the_lock_held():
    """
    The value goes back without the lock; when the command goes on, nothing comes of it.
    """

    def job():
        """Stop the command at the worst moment, and let it go on later."""
        with begun("1s", signal=signal.SIGSTOP) as process:
            wait_for(TRIED)
            wait_for(BEFORE)
            stopped = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
            process.send_signal(signal.SIGCONT)
            entry = wait_for_end()
            process.wait()
        return stopped, entry["phase"], now()

    assert ("T", "put_back", BEFORE) == on_a_host(job)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP] if FULL else [signal.SIGHUP]
)
def test_asked_to_end_with_all_written(number):
    """
    It waits until the trial has begun, which then goes its way.
    """

    def job():
        """Send a signal at the worst moment."""
        with begun("1s", signal=number) as process:
            process.wait()
        return wait_for_end()["outcome"], now()

    assert ("Taken back: nobody confirmed it in time.", BEFORE) == on_a_host(job)


def test_without_a_guardian_every_command_tells_and_recover_takes_back():
    """
    Reading commands tell and touch nothing, recover does; after that nothing is left to tell.
    """

    def job():
        """Kill the guardian, and let the time pass."""
        tried("1s")
        kill(guardian(), signal.SIGKILL)
        wait_until(lambda: ask("status", "-o", "json").told, "a command tells")
        told = (
            ask("status", "-o", "json"),
            ask("settings", "tw_reuse", "-o", "json"),
            ask("headroom"),
        )
        held = now()
        recovered = ask("recover")
        return told, held, recovered, now(), ask("status"), ask("recover")

    told, held, recovered, after, quiet, again = on_a_host(job)

    assert [(0, EXPIRED)] * 3 == [(one.status, one.told) for one in told]
    assert TRIED == held
    answered(recovered, "Taken back: nobody confirmed it in time.")
    assert BEFORE == after
    assert "" == quiet.told
    answered(again, "Nothing to recover")


def test_nobody_may_see_a_trial_and_take_nothing_back():
    """
    A user without any right is told of a trial, too, and cannot end it.
    """
    nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *COMMAND]

    def job():
        """Look, and try to recover, as nobody on another day."""
        open_ways()
        tried(LONG)
        kill(guardian(), signal.SIGKILL)
        settings = ask("settings", command=[*A_DAY_AHEAD, *nobody])
        ask("recover", command=[*A_DAY_AHEAD, *nobody])
        return settings, now(), stat.S_IMODE((RUN / "trial-1").stat().st_mode)

    settings, held, mode = on_a_host(job)

    assert EXPIRED == settings.told
    assert (TRIED, 0o644) == (held, mode)


CHANGING = [("set", "autobind_reuse=1"), ("undo",), ("confirm",)]


def test_each_command_that_changes_recovers_first():
    """
    With guardian and command killed, the next change, confirm or undo takes the trial back.
    """

    def job():
        """Kill both, and change something on another day."""
        ends = []
        for words in CHANGING:
            reset()
            with begun(LONG) as process:
                wait_for(TRIED)
                kill(guardian(), signal.SIGKILL)
                process.kill()
            ends.append((ask(*words, command=[*A_DAY_AHEAD, *COMMAND]).status, now()))
        return ends

    assert [(0, BEFORE), (4, BEFORE), (4, BEFORE)] == on_a_host(job)


def test_somebody_else_sets_the_value_meanwhile():
    """
    Nothing is overwritten; the journal has the conflict, and recover had it with exit status 4.
    """

    def job():
        """Change the value by hand in a trial, once guarded and once not."""
        tried("3s")
        hold(SETTING, "0")
        guarded = wait_for_end(1), now()
        hold(SETTING, "2")
        tried(LONG)
        kill(guardian(2), signal.SIGKILL)
        hold(SETTING, "0")
        recovered = ask("recover", command=[*A_DAY_AHEAD, *COMMAND])
        return guarded, recovered, now(), ask("confirm"), ask("recover")

    (entry, held), recovered, after, late, again = on_a_host(job)

    assert ("conflict", OTHER, OTHER) == (entry["phase"], held, after)
    assert "somebody else set" in entry["outcome"]
    assert 4 == recovered.status
    assert "somebody else" in recovered.told
    refused(late, 4, "No trial is pending")
    assert 0 == again.status


def test_confirmed_it_stays():
    """
    From any process; the guardian leaves, and the value is still there after the deadline.
    """

    def job():
        """Confirm, and let a day pass."""
        tried(LONG)
        confirmed = ask("confirm")
        wait_until(lambda: not guardians(), "the guardian is gone")
        later = ask("recover", command=[*A_DAY_AHEAD, *COMMAND])
        return confirmed, later, now(), ask("confirm"), ask("undo"), now()

    confirmed, later, held, again, undone, after = on_a_host(job)

    answered(confirmed, "tw_reuse=1")
    answered(later, "Nothing to recover")
    assert TRIED == held
    refused(again, 4, "No trial is pending")
    assert 0 == undone.status
    assert BEFORE == after


def test_undo_ends_a_trial_now():
    """
    The value is back at once, and the guardian leaves.
    """

    def job():
        """Undo a long trial."""
        tried(LONG)
        undone = ask("undo")
        held = now()
        wait_until(lambda: not guardians(), "the guardian is gone")
        return undone, held, wait_for_end()["phase"]

    undone, held, phase = on_a_host(job)

    answered(undone)
    assert (BEFORE, "put_back") == (held, phase)


def test_a_second_trial_is_refused():
    """
    So is any other change in that namespace; each names the trial, and nothing is written.
    """

    def job():
        """Change something else during a trial."""
        tried(LONG)
        return (
            ask("set", "autobind_reuse=1", "--try"),
            ask("set", "autobind_reuse=1"),
            now("ip_autobind_reuse"),
            now(),
            guardians(2),
        )

    second, plain, other, held, more = on_a_host(job)

    for one in (second, plain):
        assert 4 == one.status, one
        assert "Trial 1 " in one.told
        assert "portroom confirm" in one.told
    assert ("0\n", TRIED, []) == (other, held, more)


def test_a_namespace_is_held_until_its_trial_ended():
    """
    One whose name was removed meanwhile is put back all the same, and a new one is not touched.
    """

    def job():
        """Try in two namespaces at once, and exchange one of them."""
        for name in ("web", "db"):
            named_namespace(name)
        both = [tried("2s", "--netns", name) for name in ("web", "db")]
        tried_now = inside("web"), inside("db"), now()
        subprocess.run(["ip", "netns", "del", "web"], check=True)
        named_namespace("web")
        subprocess.run(["ip", "netns", "exec", "web", "sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1"],
                       check=True)  # fmt: skip
        ends = wait_for_end(1), wait_for_end(2)
        return both, tried_now, ends, (inside("web"), inside("db"))

    both, tried_now, ends, after = on_a_host(job)

    assert [0, 0] == [one.status for one in both], both
    assert (TRIED, TRIED, BEFORE) == tried_now
    assert ["put_back", "put_back"] == [one["phase"] for one in ends]
    assert (TRIED, BEFORE) == after


def test_a_namespace_that_ended_is_no_error():
    """
    With its guardian killed it ends; recover says so, with exit status 0.
    """

    def job():
        """Try in a namespace, and end that."""
        named_namespace("web")
        tried(LONG, "--netns", "web")
        kill(guardian(), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", "web"], check=True)
        # Of a namespace that is gone a trial need not be waited for by anybody.
        undone = ask("undo")
        return undone, wait_for_end()

    undone, entry = on_a_host(job)

    assert 0 == undone.status, undone
    assert "namespace_gone" == entry["phase"]


def moved_package(place):
    """Return a copy of portroom that can be moved away."""
    place.mkdir()
    source = Path(portroom.__file__).parent
    shutil.copytree(source, place / "portroom", ignore=shutil.ignore_patterns("__pycache__"))
    return place


def test_portroom_is_removed_meanwhile():
    """
    The guardian has all that it needs in memory: it takes back, closes the entry and leaves.
    """

    def job():
        """Remove the package as soon as the trial has begun."""
        place = moved_package(Path("/run/package"))
        ended = tried("1s", environment={"PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"})
        maps = Path(f"/proc/{guardian()}/environ").read_bytes()
        (place / "portroom").rename(place / "gone")
        entry = wait_for_end()
        wait_until(lambda: not guardians(), "the guardian is gone")
        return ended, maps, entry, now()

    ended, variables, entry, after = on_a_host(job)

    assert 0 == ended.status, ended
    assert b"PYTHONPATH=/run/package\0" in variables
    assert "put_back" == entry["phase"]
    assert BEFORE == after


def another_boot():
    """Be in another boot, as far as a process can tell."""
    other = Path("/run/boot_id")
    other.write_text("00000000-0000-4000-8000-000000000000\n")
    mount(str(other), "/proc/sys/kernel/random/boot_id", "", MS_BIND)


def test_a_reboot_is_a_way_back():
    """
    A trial of another boot is not pending, and recover closes it without touching a value.
    """

    def job():
        """Lose all at once, and be in another boot."""
        tried(LONG)
        kill(guardian(), signal.SIGKILL)
        another_boot()
        seen = ask("status", "-o", "json")
        recovered = ask("recover")
        return seen, recovered, wait_for_end(), now()

    seen, recovered, entry, held = on_a_host(job)

    assert ([], "") == (seen.json["trials"], seen.told)
    answered(recovered, "by the reboot")
    assert "put_back" == entry["phase"]
    # It is the value of the new boot, though this one was not really booted.
    assert TRIED == held


def test_only_the_clock_of_the_boot_decides():
    """
    A day later on CLOCK_BOOTTIME, with the same time of day, the trial is over.
    """

    def job():
        """Ask on a clock that is a day ahead, as after a suspend, and on the usual one."""
        tried(LONG)
        kill(guardian(), signal.SIGKILL)
        usual = ask("recover"), now()
        told = ask("status", command=[*A_DAY_AHEAD, *COMMAND])
        later = ask("recover", command=[*A_DAY_AHEAD, *COMMAND])
        return usual, told, later, now()

    (usual, held), told, later, after = on_a_host(job)

    answered(usual, "Nothing to recover")
    assert TRIED == held
    assert EXPIRED == told.told
    answered(later, "Taken back")
    assert BEFORE == after


NO_GUARDIAN = """
from portroom.change import launch
launch.READY_S = launch.start.__defaults__[0]
launch.start.__defaults__ = (1.0,)
launch.command = lambda number: {words}
"""


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["sh", "-c", "echo no such module >&2; exit 3"], "no such module"),
        (["sleep", "1000"], "was not ready within 1 s"),
        (["/nowhere/portroom"], "could not be started"),
    ],
    ids=["dies", "hangs", "is missing"],
)
def test_without_a_guardian_there_is_no_trial(words, part):
    """
    Nothing is written, the entry is closed, and what was started is gone.
    """

    def job():
        """Try with a guardian that never gets ready."""
        program = [sys.executable, "-c", f"{NO_GUARDIAN.format(words=words)}\n{command()[2]}"]
        ended = ask("set", WORD, "--try-for", LONG, command=program)
        entry = wait_for_end()
        left = [
            one
            for one in Path("/proc").glob("[0-9]*/cmdline")
            if b"sleep\x001000" in one.read_bytes()
        ]
        return ended, entry["phase"], now(), left, sorted(path.name for path in RUN.iterdir())

    ended, phase, held, left, names = on_a_host(job)

    assert 4 == ended.status, ended
    assert part in ended.told
    assert ("put_back", BEFORE, [], ["lock"]) == (phase, held, left, names)


def test_settings_that_became_read_only():
    """
    What cannot be put back now is put back when that is possible.
    """

    def job():
        """Make /proc/sys read-only during a trial, and later writable again."""
        mount("/proc/sys", "/proc/sys", "", MS_BIND)
        tried("1s")
        mount("none", "/proc/sys", "", MS_REMOUNT | MS_BIND | MS_RDONLY)
        wait_until(
            lambda: ask("status", "-o", "json").json["trials"][0]["left_s"] < 0, "it is late"
        )
        barred = now(), ask("recover")
        mount("none", "/proc/sys", "", MS_REMOUNT | MS_BIND)
        return barred, wait_for_end()["phase"], now()

    (held, recovered), phase, after = on_a_host(job)

    assert TRIED == held
    assert 5 == recovered.status, recovered
    assert ("put_back", BEFORE) == (phase, after)


def test_the_journal_is_lost_meanwhile():
    """
    The guardian knows what to put back, and does.
    """

    def job():
        """Remove the journal during a trial."""
        tried("1s")
        shutil.rmtree(STATE)
        wait_for(BEFORE)
        return True

    assert on_a_host(job)
