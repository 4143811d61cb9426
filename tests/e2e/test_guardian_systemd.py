"""
Where systemd is process 1 it runs the guardian, and a unit of the boot does what is left.

The real systemd boots in namespaces of its own for each test, see ``systemd_host.py``.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portroom.change import journal
from portroom.change.places import SYSTEM
from portroom.kernel.namespaces import identify
from portroom.model.facts.change import FileContent, FileStep, SettingStep
from portroom.model.facts.journal import WRITING
from tests.e2e.change_host import RUN, SYSCTL_D
from tests.e2e.faults import CLEAN, ask, needs_root
from tests.e2e.systemd_host import booted, refusal
from tests.e2e.trial_host import (
    BEFORE,
    LONG,
    TRIED,
    WORD,
    command,
    guardian,
    guardians,
    kill,
    now,
    phase,
    wait_for_end,
)
from tests.kernel.harness import wait_until
from tests.unit.change.made_entries import entry

ROOT = Path(__file__).parents[2]
UNIT = "portroom-recover.service"
SYSTEMD_SYSCTL = Path("/lib/systemd/system/systemd-sysctl.service")

WORST_EXPOSURE = 1.8

FULL = os.environ.get("PORTROOM_TESTS") == "full"
TIMES = 2 if FULL else 1


@pytest.fixture(autouse=True)
def systemd():
    """
    Skip where systemd cannot be booted; REQUIRE=e2e makes that a failure.
    """
    if reason := refusal():
        pytest.skip(reason)


pytestmark = needs_root


def tried(enter, length, *others):
    """Try a value on the booted host."""
    words = ["set", WORD, "--try-for", length, *others]
    return ask(*words, command=[*enter, *command()])


def unit(enter, *names, of="portroom-trial-1"):
    """Return properties of a unit."""
    words = [*enter, "systemctl", "show", f"{of}.service", *(f"--property={one}" for one in names)]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in told.splitlines())


def test_it_runs_in_a_unit_of_its_own():
    """
    It is a service of process 1, takes the trial back, and leaves nothing loaded.
    """

    def job(enter):
        """Try for two seconds."""
        ended = tried(enter, "2s")
        seen = unit(enter, "ActiveState", "ControlGroup", "OOMScoreAdjust", "Restart", "MainPID")
        pid = guardian()
        inner = Path(f"/proc/{pid}/status").read_text()
        entry = wait_for_end()
        wait_until(lambda: unit(enter, "LoadState")["LoadState"] == "not-found", "it is collected")
        return ended, seen, int(re.findall(r"NSpid:.*\t(\d+)", inner)[0]), entry, now()

    ended, seen, pid, entry, after = booted(job)

    assert 0 == ended.status, ended
    assert {
        "ActiveState": "active",
        "ControlGroup": "/system.slice/portroom-trial-1.service",
        "OOMScoreAdjust": "-900",
        "Restart": "on-failure",
        "MainPID": str(pid),
    } == seen
    assert "put_back" == entry["phase"]
    assert BEFORE == after


def test_killed_it_is_started_again():
    """
    However often somebody kills it: it comes back, is ready again, and takes the trial back.
    """

    def job(enter):
        """Kill it, and once more in a deep test."""
        tried(enter, f"{1 + 2 * TIMES}s")
        pids = []
        for _ in range(TIMES):
            pids.append(guardian())
            kill(pids[-1], signal.SIGKILL)
        pids.append(guardian())
        return pids, phase(), now(), wait_for_end()["phase"], now()

    pids, during, held, end, after = booted(job)

    assert TIMES + 1 == len(set(pids))
    assert ("trial", TRIED) == (during, held)
    assert ("put_back", BEFORE) == (end, after)


def test_with_the_session_all_else_ends():
    """
    The end of the session that the command was called in does not reach it.
    """

    def job(enter):
        """Call the command in a scope that is killed as a whole."""
        script = '"$@"; sleep 1000'
        words = [*command(), "set", WORD, "--try-for", "2s"]
        scope = [
            "systemd-run",
            "--scope",
            "--unit=session-1",
            "--collect",
            "sh",
            "-c",
            script,
            "sh",
        ]
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        with subprocess.Popen([*enter, *scope, *words], env=CLEAN, **quiet) as session:
            wait_until(lambda: phase() == "trial", "it is a trial")
            killing = ["systemctl", "kill", "--signal=KILL", "session-1.scope"]
            subprocess.run([*enter, *killing], check=True)
            session.wait()
            alive = len(guardians())
        return alive, wait_for_end()["phase"], now()

    assert (1, "put_back", BEFORE) == booted(job)


def test_confirmed_its_unit_ends():
    """
    The service is over within moments, in success, and the value stays.
    """

    def job(enter):
        """Confirm a long trial."""
        tried(enter, LONG)
        confirmed = ask("confirm", command=[*enter, *command()])
        wait_until(lambda: unit(enter, "LoadState")["LoadState"] == "not-found", "it is collected")
        return confirmed, now(), sorted(path.name for path in RUN.iterdir())

    confirmed, held, left = booted(job)

    assert 0 == confirmed.status, confirmed
    assert (TRIED, ["lock"]) == (held, left)


def test_stopped_by_an_administrator_it_does_not_delay():
    """
    A host that goes down need not wait for it; then nobody guards the trial, and all are told.
    """

    def job(enter):
        """Stop the service of a long trial."""
        tried(enter, LONG)
        guardian()
        start = time.monotonic()
        subprocess.run([*enter, "systemctl", "stop", "portroom-trial-1"], check=True)
        took_s = time.monotonic() - start
        (seen,) = ask("status", "-o", "json").json["trials"]
        return took_s, seen["guarded"], guardians(), now()

    took_s, guarded, left, held = booted(job)

    assert took_s < 5
    assert (False, [], TRIED) == (guarded, left, held)


@pytest.mark.parametrize(("status", "length"), [(1, "1s"), (0, "4s")] if FULL else [(1, "1s")])
def test_systemd_does_not_run_it(status, length):
    """
    Where systemd-run fails, or starts what never gets ready, it is a detached process.
    """
    short = "from portroom.change import launch\nlaunch.start.__defaults__ = (4.0,)\n"

    def job(enter):
        """Have a systemd-run that does nothing, in one way or the other."""
        place = Path("/run/programs/systemd-run")
        place.parent.mkdir()
        place.write_text(f"#!/bin/sh\nexit {status}\n")
        place.chmod(0o755)
        program = [sys.executable, "-c", short + command()[2]]
        ended = ask(
            *("set", WORD, "--try-for", length),
            command=[*enter, *program],
            environment={"PATH": f"{place.parent}:{CLEAN['PATH']}"},
        )
        pid = guardian()
        group = Path(f"/proc/{pid}/cgroup").read_text()
        return ended, group, wait_for_end()["phase"], now()

    ended, group, end, after = booted(job)

    assert 0 == ended.status, ended
    assert "portroom-trial" not in group
    assert ("put_back", BEFORE) == (end, after)


def installed(name=UNIT):
    """Return the unit as it is installed, with the program where it is now."""
    text = (ROOT / "packaging/systemd" / name).read_text()
    return text.replace("/usr/bin/portroom", str(Path(sys.executable).with_name("portroom")))


def test_the_unit_is_in_order_and_may_do_little(tmp_path):
    """
    systemd finds nothing wrong with it, and rates its exposure as low as a writer's can be.
    """
    path = tmp_path / UNIT
    path.write_text(installed())
    verified, rated = (
        subprocess.run(
            ["systemd-analyze", *words, path], capture_output=True, text=True, check=False
        )
        for words in (["verify", "--man=no"], ["security", "--offline=true", "--no-pager"])
    )
    (exposure,) = re.findall(r"Overall exposure level for \S+: (\d+\.\d+)", rated.stdout)

    assert (0, "") == (verified.returncode, verified.stderr)
    assert float(exposure) <= WORST_EXPOSURE


def crash_before_the_boot():
    """
    Leave what a crash of the boot before left: a file that is written, a draft, and an open entry.
    """
    file = SYSCTL_D / "90-portroom.conf"
    file.write_bytes(b"net.ipv4.tcp_tw_reuse = 1\n")
    (SYSCTL_D / ".portroom.new").write_bytes(b"net.ipv4.tcp_tw")
    step = FileStep(str(file), None, FileContent(file.read_bytes()))
    setting = SettingStep(identify(), "net.ipv4.tcp_tw_reuse", "2", "1")
    journal.begin(SYSTEM, entry(setting, step, phase=WRITING, boot_id="another"))


def reach_the_checkout(text):
    """
    Return a unit that sees what the system's own programs need not: a checkout may be anywhere.
    """
    return text.replace("ProtectHome=yes\n", "").replace("PrivateTmp=yes\n", "")


@pytest.mark.parametrize("recovers", [True, False], ids=["with the unit", "without it"])
def test_a_boot_finds_nothing_half_done(recovers):
    """
    The real systemd-sysctl applies the file that a crash left, unless the unit was there before.
    """
    units = {
        "systemd-sysctl.service": SYSTEMD_SYSCTL.read_text()
        + "[Install]\nWantedBy=sysinit.target\n"
    }
    if recovers:
        units[UNIT] = reach_the_checkout(installed())

    def job(enter):
        """See what was done at boot."""
        results = [
            unit(enter, "Result", "ActiveState", of=name.removesuffix(".service")) for name in units
        ]
        names = sorted(path.name for path in SYSCTL_D.iterdir())
        log = Path("/run/kmsg").read_text()
        return results, now(), names, phase(), ask("recover", command=[*enter, *command()]), log

    results, held, names, after, again, log = booted(job, units, before=crash_before_the_boot)

    assert [{"Result": "success", "ActiveState": "active"}] * len(units) == results, log
    if recovers:
        assert (BEFORE, [], "put_back") == (held, names, after)
    else:
        assert (TRIED, [".portroom.new", "90-portroom.conf"], "writing") == (held, names, after)
    assert 0 == again.status, again


def test_started_by_hand_the_unit_takes_an_expired_trial_back():
    """
    It may write settings of the host, which is all that it may.
    """

    def job(enter):
        """Lose the guardian of a trial, let that expire, and start the unit."""
        tried(enter, "1s")
        subprocess.run([*enter, "systemctl", "stop", "portroom-trial-1"], check=False)
        wait_until(lambda: ask("status").told or now() == BEFORE, "it expired")
        subprocess.run([*enter, "systemctl", "start", UNIT], check=True)
        return now(), phase(), unit(enter, "Result", of="portroom-recover"), RUN.is_dir()

    text = reach_the_checkout(installed()).partition("[Install]")[0]
    held, after, result, is_there = booted(job, {UNIT: text})

    assert (BEFORE, "put_back", True) == (held, after, is_there)
    assert {"Result": "success"} == result
