"""The daemon where something is missing, fails or goes on for long: it says so, and goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import seccomp
from tests.e2e.faults import (
    CLEAN,
    DEADLINE_S,
    LIBC,
    MS_BIND,
    NOBODY,
    alone,
    mount,
    needs_root,
    open_ways,
    private_mounts,
)
from tests.e2e.serving import FULL, deep, served
from tests.kernel.harness import wait_until, write_settings
from tests.kernel.sockets import fill, listener

FAST = ("--interval", "1s")
SERVER = ("127.0.0.1", 9000)
HELD = 60
SCREENS = ("status", "headroom", "findings")

WITHOUT_RIGHTS = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
LACKING = {
    "no sock_diag": ({"preexec_fn": seccomp.no_sock_diag}, "sock_diag", "degraded", ""),
    "no rights": (WITHOUT_RIGHTS, "owners", "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH", ""),
    "hidepid": (WITHOUT_RIGHTS, "owners", "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH", "hidepid=2"),
}


def crowded():
    """Have a key that is more than half full, in a range of a hundred ports."""
    write_settings(ip_local_port_range="40000 40099")
    listener(*SERVER)
    return fill(SERVER, at_most=HELD)


@needs_root
@pytest.mark.parametrize("lacking", LACKING if FULL else ["no rights"])
def test_what_is_missing_is_named_on_every_screen(lacking):
    """The counts are right all the same: what holds the ports of the key is surely known."""
    options, source, words, hiding = LACKING[lacking]

    def job():
        """Take something away, and ask for everything."""
        private_mounts()
        open_ways()
        held = crowded()
        if hiding:
            mount("proc", "/proc", "proc", options=hiding)
        folder = Path("/run/state")
        folder.mkdir()
        folder.chmod(0o777)
        with served(folder, *FAST, **options) as daemon:
            daemon.wait_until_sampled(2)
            screens = {name: daemon.get(f"/api/v1/{name}").json for name in SCREENS}
            return held.count, screens, daemon.get("/metrics").text, daemon.told

    held, screens, metrics, told = alone(job)
    (key,) = [one for one in screens["headroom"]["keys"] if one["remote_port"] == SERVER[1]]
    reasons = {
        name: " ".join(gap["reason"] for gap in one["gaps"] if gap["source"] == source)
        for name, one in screens.items()
    }

    assert (HELD, 100) == (key["held_ports"], key["eligible_ports"]) == (held, 100)
    assert [] == [name for name, reason in reasons.items() if words not in reason], reasons
    assert f'portroom_gaps{{source="{source}"}} 1.0' in metrics
    assert 1 == told.count(f"Not seen: {source}: ")


@deep
@needs_root
def test_samples_that_fail_end_nothing():
    """It says so once, counts what it misses, and once more when samples come again."""

    def job():
        """Hide the settings for a while."""
        with served(Path("/run"), *FAST) as daemon:
            daemon.wait_until_sampled()
            mount("tmpfs", "/proc/sys/net", "tmpfs")
            wait_until(
                lambda: daemon.metric("portroom_missed_samples") >= 2,
                "two samples are missed",
                deadline_s=DEADLINE_S,
            )
            last = daemon.get("/api/v1/status").status
            LIBC.umount2(b"/proc/sys/net", 0)
            daemon.wait_for("Samples come again.")
            return last, daemon.metric("portroom_missed_samples"), daemon.told, daemon.end()[0]

    last, missed, told, status = alone(job)

    assert (200, 0) == (last, status)
    assert missed == 0
    assert 1 == told.count("No sample: ")


@deep
@needs_root
def test_a_sample_that_hangs_holds_nothing_up():
    """Requests are answered and say that samples are missing, and a signal ends it in time."""

    def job():
        """Put a FIFO that nobody writes in the place of a setting."""
        with served(Path("/run"), *FAST) as daemon:
            daemon.wait_until_sampled()
            os.mkfifo("/run/fifo")
            mount("/run/fifo", "/proc/sys/net/ipv4/ip_local_port_range", "", MS_BIND)
            wait_until(
                lambda: daemon.metric("portroom_missed_samples") >= 2,
                "two samples are missed",
                deadline_s=DEADLINE_S,
            )
            return daemon.get("/api/v1/status").status, daemon.end(), daemon.told

    answer, (status, took_s), told = alone(job)

    assert (200, 0) == (answer, status)
    assert took_s < 1.0
    assert 1 == told.count("No sample: a sample takes longer than 1 s.")


CYCLES = """
import asyncio, gc, os, sys
from portroom.api.serving import observer
from portroom.daemon.log import Log
from portroom.daemon.loop import Loop
from portroom.daemon.states import States
from portroom.model.facts.config import Config, Metrics, Serve
from portroom.render.metrics import as_text

wanted, folder = int(sys.argv[1]), sys.argv[2]
config = Config(serve=Serve(interval_s=0.0, full_interval_s=2.0, listen=()))
states = States(Log())
seen = []

def used():
    gc.collect()
    pages = int(open("/proc/self/statm").read().split()[1])
    return len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE")

async def main():
    done = asyncio.Event()

    def publish(watched):
        states.note(watched)
        as_text(watched, Metrics(), None)
        count = watched.samples_total
        assert not watched.missed_samples, watched.error
        if count in (wanted // 4, wanted):
            seen.append(used())
        if count >= wanted:
            done.set()

    loop = Loop(0.0, publish, Log())
    await loop.open(lambda: observer(config, folder, None))
    running = asyncio.ensure_future(loop.run())
    await done.wait()
    await loop.close(5)
    await running

asyncio.run(main())
(before, first), (after, last) = seen
print(before, after, last - first)
"""


def test_thousands_of_cycles_leave_nothing_behind(netns, tmp_path):
    """Neither descriptors nor memory grow, with history, alerts and metrics of each sample."""
    cycles = 10_000 if FULL else 200

    def job():
        """Sample as fast as can be, a key of which is more than half full."""
        crowded()
        return subprocess.run(
            [sys.executable, "-c", CYCLES, str(cycles), str(tmp_path)],
            env=CLEAN,
            capture_output=True,
            text=True,
            check=False,
        )

    done = (alone if os.geteuid() == 0 else netns)(job)
    before, after, grown_bytes = map(int, done.stdout.split() or [0, 1, 0])

    assert before == after, done.stderr
    assert grown_bytes < 3 << 20


@deep
def test_two_signals_are_one_end(netns, tmp_path):
    """Whoever presses Ctrl-C again and again waits no longer, and history stays whole."""

    def job():
        """Send signals of all kinds at once."""
        with served(tmp_path, *FAST) as daemon:
            daemon.wait_until_sampled()
            for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                daemon.process.send_signal(number)
            ended = daemon.end(signal.SIGTERM)
            return ended, daemon.told

    (status, took_s), told = (alone if os.geteuid() == 0 else netns)(job)

    assert 0 == status
    assert took_s < 1.0
    assert "bug" not in told
