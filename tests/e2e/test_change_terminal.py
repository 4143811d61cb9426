"""The terminal of whoever changes settings: questions, hints, and an output that breaks off."""

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.change_host import on_a_host
from tests.e2e.faults import CLEAN, COMMAND, answered, ask, needs_root
from tests.kernel.harness import LIBC, wait_until

pytestmark = needs_root

PR_SET_NAME = 15

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
WIDER = "range=15000-64001"
QUESTION = b"[y/N] "

HINT = "portroom: this terminal is remote: --try takes the change back by itself"


def held():
    """Return the range that the kernel holds."""
    return RANGE.read_text().split()


def add_namespaces():
    """Have two network namespaces beside the own one."""
    for name in ("red", "blue"):
        subprocess.run(["ip", "netns", "add", name], check=True)


class OnTerminal:
    """A command on a terminal of its own, whose answers are typed."""

    def __init__(self, *words):
        """Start it."""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.execvpe(COMMAND[0], [*COMMAND, *words], CLEAN)
        self.seen = b""

    def read(self):
        """Return all that it wrote until now, more if there is more; the terminal may be gone."""
        try:
            self.seen += os.read(self.terminal, 65536)
        except OSError:  # EIO: nobody holds the other end any more
            return None
        return self.seen

    def answer(self, text):
        """Wait for the question, type an answer, and return exit status and what was seen."""
        deadline = time.monotonic() + 30
        while QUESTION not in (self.read() or QUESTION):
            assert time.monotonic() < deadline, self.seen
        os.write(self.terminal, text)
        while self.read() is not None:
            assert time.monotonic() < deadline, self.seen
        _, status = os.waitpid(self.pid, 0)
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(status), self.seen.decode()


@pytest.mark.parametrize(
    ("typed", "status", "changed"),
    [
        (b"y\n", 0, True),
        (b"yes\n", 0, True),
        (b"n\n", 4, False),
        (b"\n", 4, False),
        (b"\x04", 4, False),
        (b"\x03", 130, False),
    ],
)
def test_several_namespaces_are_changed_after_a_yes(typed, status, changed):
    """y changes them; n, nothing, and Ctrl-D are no; Ctrl-C is 130. The table was told before."""

    def job():
        """Ask for all, and answer."""
        add_namespaces()
        ended = OnTerminal("set", WIDER, "--all-netns").answer(typed)
        return *ended, held()

    actual, seen, now = on_a_host(job)

    assert status == actual, seen
    assert "Change 3 network namespaces? [y/N]" in seen
    assert seen.index("NETNS") < seen.index("Change 3")
    assert (["15000", "64001"] if changed else ["32768", "60999"]) == now
    assert "Traceback" not in seen


def test_a_plan_of_several_namespaces_asks_too():
    """apply wants --yes without a terminal, and asks on one."""

    def job():
        """Keep a plan of three namespaces, and carry it out."""
        add_namespaces()
        made = ask("plan", WIDER, "--all-netns", "--out", "/run/plan")
        alone = ask("apply", "/run/plan"), held()
        return made, alone, ask("apply", "/run/plan", "--yes"), held()

    made, (refused, before), done, after = on_a_host(job)

    assert 0 == made.status, made
    assert 2 == refused.status, refused
    assert "add --yes" in refused.told
    assert ["32768", "60999"] == before
    assert (0, ["15000", "64001"]) == (done.status, after), done


def named(name):
    """Let the process that starts the command be called so."""
    return lambda: LIBC.prctl(PR_SET_NAME, name, 0, 0, 0)


def below(name, *words):
    """Return how a command ended that a process of this name started, as sudo keeps no variable."""
    pid = os.fork()
    if pid == 0:
        named(name)()
        ended = ask(*words)
        Path("/run/below").write_text(json.dumps(ended))
        os._exit(0)
    os.waitpid(pid, 0)
    return json.loads(Path("/run/below").read_text())


def test_a_remote_terminal_is_told_of_a_trial():
    """One line on stderr, where ssh left its variable or is a process above; the change is made."""

    def job():
        """Change from afar, in ways that could cut off and in others."""
        ssh = {"environment": {"SSH_CONNECTION": "192.0.2.7 40000 192.0.2.1 22"}}
        return [
            ask("set", WIDER, **ssh),
            ask("set", "range=16000-64001", "--try", **ssh),
            ask("undo", **ssh),
            ask("set", "tw_reuse=1", **ssh),
            ask("set", "ip_unprivileged_port_start=1000", **ssh),
            ask("set", "range=17000-64000", "--dry-run", **ssh),
        ], below(b"sshd-session", "set", "range=18000-64001")

    ended, (status, _, told) = on_a_host(job)

    assert [0] * 6 == [one.status for one in ended], ended
    assert [True, False, False, False, True, False] == [HINT in one.told for one in ended]
    assert [1, 0, 0, 0, 1, 0] == [one.told.count("\n") for one in ended]
    assert (0, True) == (status, HINT in told)


def test_what_nobody_reads_is_not_written():
    """Where the plan cannot be told, nothing is changed, and the exit status is no success."""

    def job():
        """Close standard output, fill it, and let its reader go."""
        reading, writing = os.pipe()
        os.close(reading)
        with Path("/dev/full").open("wb") as full:
            return [
                ask("set", WIDER, before=lambda: os.close(1)),
                ask("set", WIDER, stdout=full, stderr=subprocess.PIPE),
                ask("set", WIDER, stdout=writing, stderr=subprocess.PIPE),
            ], held()

    ended, now = on_a_host(job)

    assert [4, 4, 4] == [one.status for one in ended], ended
    assert ["32768", "60999"] == now
    assert [1, 1, 1] == [one.told.count("\n") for one in ended]


@pytest.mark.parametrize("output", ["json", "csv"])
def test_a_change_that_was_made_is_told_somewhere(output):
    """A report that goes nowhere is told on stderr, and the exit status is that of the change."""

    def job():
        """Change with an output that takes nothing."""
        with Path("/dev/full").open("wb") as full:
            done = ask("set", WIDER, "-o", output, stdout=full, stderr=subprocess.PIPE)
            changed = held()
            undone = ask("undo", "-o", output, stdout=full, stderr=subprocess.PIPE)
        return done, changed, undone, held()

    done, changed, undone, back = on_a_host(job)

    assert (0, ["15000", "64001"]) == (done.status, changed), done
    assert (0, ["32768", "60999"]) == (undone.status, back), undone
    assert "entry 1 of the journal" in done.told
    assert "entry 2 of the journal" in undone.told


def kill_the_guardians():
    """Leave all trials without anybody who takes them back."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if b"--guard" in path.read_bytes():
            os.kill(int(path.parent.name), signal.SIGKILL)


def guards():
    """Say whether a guardian is there."""
    return any(trial["guarded"] for trial in ask("status", "-o", "json").json["trials"])


def in_red(*words):
    """Run a program in the network namespace red."""
    subprocess.run(["ip", "netns", "exec", "red", *words], check=True)


def overdue():
    """Say whether all trials are past their end."""
    trials = ask("status", "-o", "json").json["trials"]
    return [True, True] == [trial["left_s"] < 0 for trial in trials]


def test_every_reading_command_tells_of_a_trial_that_nobody_took_back():
    """One line on stderr, until recover took it back; what others changed it leaves, and ends 4."""
    reading = ["status"], ["headroom"], ["sessions"], ["settings"], ["boot"], ["journal"], [
        "plan", WIDER], ["snapshot", "--out", "/run/saved"]  # fmt: skip

    def job():
        """Let two trials expire without a guardian, one under a value of somebody else."""
        add_namespaces()
        ask("set", WIDER, "--try-for", "10s")
        calm = ask("status")
        ask("set", WIDER, "--try-for", "10s", "--netns", "red")
        kill_the_guardians()
        wait_until(lambda: not guards(), "the guardians are gone")
        unguarded = ask("status")
        in_red("sh", "-c", f"echo 20000 60999 > {RANGE}")
        wait_until(overdue, "the trials expired", deadline_s=30.0)
        told = [ask(*words) for words in reading]
        expired = ask("status"), held()
        return calm, unguarded, told, expired, ask("recover"), held(), ask("status"), ask("journal")

    calm, unguarded, told, (status, now), recovered, after, silent, journal = on_a_host(job)

    answered(calm, "Trial 1 (range=15000-64001 in host) is taken back in ")
    answered(unguarded, "No guardian is awake")
    notice = "portroom: a trial expired and was not taken back: run portroom recover\n"
    assert [notice] * len(reading) == [one.told for one in told]
    assert [0] * len(reading) == [one.status for one in told]
    assert "expired and was not taken back" in status.answer
    assert ["15000", "64001"] == now
    assert 4 == recovered.status, recovered
    assert "20000" in recovered.told
    assert "Entry 1: set range=15000-64001" in recovered.answer
    assert "Conflict" in recovered.answer
    assert ["32768", "60999"] == after
    answered(silent)
    assert "Trial" not in silent.answer
    answered(journal, "taken back", "conflict")


def test_detailed_exit_codes():
    """0 nothing to do, 1 any error, usage included, 2 changes; without the option as always."""

    def job():
        """Plan in all ways."""
        option = "--detailed-exitcode"
        return [
            ask(*words, *extra).status
            for extra in ([option], [])
            for words in (
                ("plan", "range=32768-60999"),
                ("plan", WIDER),
                ("plan", "range=1-10"),
                ("plan", "range"),
                ("plan", "--nonsense"),
                ("plan", WIDER, "--netns", "nowhere"),
                ("plan", WIDER, "--out", "/nowhere/plan"),
            )
        ]

    assert [0, 2, 1, 1, 1, 1, 1, 0, 0, 4, 2, 2, 2, 4] == on_a_host(job)


def test_a_file_of_a_plan_is_replaced_only_when_asked():
    """It has mode 0600; --replace is not --force, which would lift refusals."""

    def job():
        """Keep a plan twice."""
        first = ask("plan", WIDER, "--out", "/run/plan")
        mode = Path("/run/plan").stat().st_mode & 0o777
        second = ask("plan", "range=20000-64001", "--out", "/run/plan")
        third = ask("plan", "range=20000-64001", "--out", "/run/plan", "--replace")
        return first, mode, second, third, Path("/run/plan").read_text()

    first, mode, second, third, text = on_a_host(job)

    assert (0, 0o600) == (first.status, mode)
    assert "portroom: carry it out with: portroom apply /run/plan\n" == first.told
    assert 2 == second.status
    assert "Give --replace to replace it." in second.told
    assert 0 == third.status
    assert "20000 64001" in text
