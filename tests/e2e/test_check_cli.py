"""`portroom check` as a monitoring system calls it: one line, and 0, 1, 2 or 3."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

from tests.e2e.change_host import on_a_host
from tests.e2e.faults import CLEAN, COMMAND, as_nobody, ask, interrupted, needs_root, open_ways
from tests.kernel import needs
from tests.kernel.harness import in_child, wait_until
from tests.kernel.sockets import connected, fill, listener

FIRST = ("127.0.0.1", 9000)
REMOTES = ("127.0.0.1:9000", "127.0.0.1:9001")
RANGE = "40000 40099"
"""A hundred ports: percents are ports."""

PERFDATA = re.compile(r"occupancy=([\d.]+);([\d.]+);([\d.]+);0;1 free=(\d+);;;0;(\d+)")


def figures(ended):
    """Return the numbers of the perfdata of an answer that is one line and nothing else."""
    assert 1 == ended.answer.count("\n")
    assert "" == ended.told
    found = PERFDATA.fullmatch(ended.answer.rstrip("\n").partition(" | ")[2])
    assert found, ended
    return [float(number) for number in found.groups()]


def unknown(ended, *parts):
    """Prove that an answer is one line that says why there is none."""
    assert (3, "", 1) == (ended.status, ended.told, ended.answer.count("\n")), ended
    assert ended.answer.startswith("UNKNOWN: ")
    assert [] == [part for part in parts if part not in ended.answer], ended.answer


def test_from_the_first_port_to_the_last(netns):
    """It says OK, WARNING and CRITICAL as ports go, and the free ports are those that then fit."""

    def job():
        """Fill a key in steps, ask after each, and then fill it up."""
        listener(*FIRST)
        steps, held = [], []
        for ports in (0, 79, 80, 95):
            held += [connected(FIRST) for _ in range(ports - len(held))]
            steps.append((ports, ask("check"), ask("headroom", "-o", "json").json["keys"]))
        left = len(fill(FIRST).sockets)
        return steps, left, ask("check")

    steps, left, full = netns(job, ip_local_port_range=RANGE)

    for ports, ended, keys in steps:
        expected = 0 if ports < 80 else 1 if ports < 95 else 2
        worst = keys[0] if keys else {"occupancy_ratio": 0, "free_ports": 100}
        assert expected == ended.status, ended
        assert [worst["occupancy_ratio"], 0.8, 0.95, worst["free_ports"], 100] == figures(ended)
        assert ended.answer.startswith(("OK: ", "WARNING: ", "CRITICAL: ")[expected])
    assert left == steps[-1][2][0]["free_ports"] == 5
    assert (2, [1, 0.8, 0.95, 0, 100]) == (full.status, figures(full))


def test_what_is_in_doubt_is_a_warning_at_most(netns):
    """
    A full key blocks ports of another one, or does not, and the kernel does not tell: the full
    one is critical, and of the other the line says that it is in doubt.
    """

    def job():
        """Fill one, and ask about each."""
        listener(*FIRST)
        fill(FIRST)
        seen = [ask("check", "--key", remote) for remote in REMOTES]
        return *seen, ask("headroom", REMOTES[1], "-o", "json").json["keys"][0]

    first, second, key = netns(job, ip_local_port_range=RANGE)

    assert 2 == first.status
    expected = 1 if key["occupancy_ratio_max"] >= 0.8 else 0
    assert (expected, expected == 1) == (second.status, "WARNING: in doubt" in second.answer)
    assert key["occupancy_ratio"] == figures(second)[0] == 0


def test_a_saved_snapshot_gives_the_same_line(netns, tmp_path):
    """Byte for byte, and the same exit status."""

    def job():
        """Fill, ask, save, and ask the file."""
        listener(*FIRST)
        held = [connected(FIRST) for _ in range(85)]
        live = ask("check")
        ask("snapshot", "--out", str(tmp_path / "saved"))
        return live, ask("check", "--snapshot", str(tmp_path / "saved")), len(held)

    live, saved, _ = netns(job, ip_local_port_range=RANGE)

    assert live == saved
    assert 1 == live.status


def test_wrong_usage_and_errors_are_unknown():
    """One line on standard output, nothing on stderr, and never the 2 that would be an alarm."""
    unknown(ask("check", "--bogus"), "--bogus")
    unknown(ask("check", "--snapshot", "/dev/null"), "/dev/null")


def test_an_option_before_the_command_is_unknown():
    """`portroom` itself finds it, and knows who is asked."""
    unknown(ask("--netns", "web", "check"), "`portroom check --netns web`")


def test_help_is_no_check():
    """It is what it is for every command."""
    assert 0 == ask("check", "--help").status


def test_a_deadline_that_passed_is_unknown():
    """What is not answered in time is no answer."""
    unknown(ask("check", "-t", "0.001"), "no answer within 0.001 s")


def test_a_system_call_that_hangs_is_not_waited_for():
    """The line is said by a thread of its own, and the process ends."""
    hangs = """if True:
        import os
        from portroom.cli.check import Line, deadline
        reading, _ = os.pipe()
        with deadline(0.2, Line()):
            os.read(reading, 1)
        """
    unknown(ask(command=[sys.executable, "-c", hangs]), "no answer within 0.2 s")


def test_where_nobody_can_be_told_it_is_no_ok():
    """A full disk, a closed pipe, no standard output at all."""
    with Path("/dev/full").open("wb") as full:
        assert 3 == ask("check", stdout=full).status
    reading, writing = os.pipe()
    os.close(reading)
    assert 3 == ask("check", stdout=writing).status
    os.close(writing)
    assert 3 == ask("check", stdout=None, before=lambda: os.close(1)).status


def test_ctrl_c_is_no_verdict():
    """A person ended it."""
    assert 130 == interrupted("check", "-t", "60").status


@needs_root
def test_of_all_namespaces_the_worst_is_named():
    """The full container of an idle host is found, and what it is called is in the line."""

    def job():
        """Start a process with a network of its own, and fill that."""
        script = """if True:
            import pathlib, socket, subprocess, time
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40009")
            server = socket.create_server(("127.0.0.1", 9000))
            held = [socket.create_connection(("127.0.0.1", 9000)) for _ in range(10)]
            print("full", flush=True)
            input()
            """
        container = subprocess.Popen(
            ["unshare", "-n", sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert b"full\n" == container.stdout.readline()
            wait_until(lambda: len(names()) == 2, "both namespaces are seen")
            other = next(name for name in names() if name != "host")
            return ask("check", "--all-netns"), ask("check"), other
        finally:
            container.communicate()

    def names():
        """Return what the namespaces are called."""
        found = ask("headroom", "--all-netns", "-o", "json").json["namespaces"]
        return [one["netns"]["name"] for one in found]

    every, own, name = on_a_host(job)

    assert 2 == every.status
    assert f"in namespace {name}" in every.answer
    assert 0 == figures(every)[3]
    assert 0 == own.status


@needs_root
def test_it_needs_no_root():
    """Nobody gets the same answer about the own namespace; of all of them it is unknown."""

    def job():
        """Ask as a user without any right."""
        open_ways()
        return as_nobody("check"), as_nobody("check", "--all-netns")

    own, every = in_child(job)

    figures(own)
    assert own.status in {0, 1, 2}
    unknown(every, "not every network namespace could be read")


HEAVY = frozenset(
    """
    rich textual prometheus_client asyncio dataclasses importlib.metadata sqlite3 starlette
    uvicorn sse_starlette apprise multiprocessing concurrent.futures http.client email
    portroom.history portroom.daemon portroom.change portroom.trace portroom.model.advice.doctor
    """.split()
)


def test_nothing_heavy_is_imported():
    """A monitoring system starts it every minute on every host."""
    done = ask("check", command=[sys.executable, "-X", "importtime", "-m", "portroom"])
    found = re.findall(r"(?m)^import time:[^|]*\|[^|]*\|\s*(\S+)$", done.told)

    assert "portroom.api.check" in found
    assert set() == HEAVY & set(found)


def test_it_takes_a_tenth_of_a_second(netns):
    """From the start of Python to the end 150 ms of processor time at most, best of some."""

    def job():
        """Start it some times, and measure each."""
        spent = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([*COMMAND, "check"], env=CLEAN, capture_output=True, check=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return spent

    assert min(netns(job)) <= 0.150 * needs.SLOWNESS


def test_a_rate_without_a_history_is_unknown(netns, tmp_path):
    """It was asked for, so that it is missing is no OK; the keys are judged all the same."""

    def job():
        """Ask where nobody keeps one, on an idle host and on a full one."""
        words = ("check", "--rate", "--history", str(tmp_path / "none"))
        idle = ask(*words)
        listener(*FIRST)
        fill(FIRST)
        return idle, ask(*words)

    idle, full = netns(job, ip_local_port_range=RANGE)

    assert (3, 2) == (idle.status, full.status)
    assert 0 == figures(idle)[0]
    assert "or it may not be looked at, no connection, " in idle.answer
    assert "There is no history" in full.answer
