"""
The unit that counts failures for others does so with the few rights it has, under the real systemd.

The real systemd boots in namespaces of its own, see ``systemd_host.py``. There `/proc` is of
another pid namespace than the numbers that the kernel tells: processes have no names.
"""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.faults import mount, needs_root
from tests.e2e.systemd_host import booted, refusal
from tests.kernel.harness import wait_until
from tests.kernel.sockets import connected, fill, listener

ROOT = Path(__file__).parents[2]
UNIT = "portroom-trace.service"
SOCKET = Path("/run/portroom-trace/counts.sock")
TRACEFS = "/sys/kernel/tracing"

WORST_EXPOSURE = 2.7

SERVER = ("127.0.0.1", 9753)
"""No other test has it: the whole machine is watched."""

pytestmark = needs_root


@pytest.fixture(name="systemd_boots")
def _systemd_boots():
    """
    Skip where systemd cannot be booted; REQUIRE=e2e makes that a failure.
    """
    if reason := refusal():
        pytest.skip(reason)


def installed():
    """Return the unit as it is installed, with the program where it is now."""
    text = (ROOT / "packaging/systemd" / UNIT).read_text()
    return text.replace("/usr/bin/portroom", str(Path(sys.executable).with_name("portroom")))


def read_counts():
    """Return the document that the socket gives."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(10)
        one.connect(str(SOCKET))
        chunks = []
        while chunk := one.recv(1 << 16):
            chunks.append(chunk)
    return json.loads(b"".join(chunks))


def control(enter, *words):
    """Run systemctl on the booted host and return what it says."""
    done = subprocess.run(
        [*enter, "systemctl", *words], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.usefixtures("systemd_boots")
@pytest.mark.parametrize("mounted", [False, True], ids=["tracefs not mounted", "mounted"])
def test_the_unit_counts_with_the_rights_it_has(mounted):
    """Whether tracefs is mounted or not; it ends in order, and leaves no socket."""

    def job(enter):
        """Fail beside it, read the counts, and stop it."""
        wait_until(SOCKET.exists, "the socket is there")
        place = SOCKET.stat()
        listener(*SERVER)
        fill(SERVER)
        for _ in range(2):
            with pytest.raises(OSError, match="Errno 99"):
                connected(SERVER)
        wait_until(lambda: seen_here(read_counts()) == 3, "they are counted")
        reasons = " ".join(gap["reason"] for gap in read_counts()["gaps"])
        log = control(enter, "status", UNIT)
        control(enter, "stop", UNIT)
        state = control(enter, "show", UNIT, "--property=Result,ActiveState")
        seen = SOCKET.exists(), reasons
        return place.st_mode & 0o777, place.st_gid, log, state, *seen

    def before():
        """Have a small range, and perhaps a tracefs."""
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40009")
        if mounted:
            mount("tracefs", TRACEFS, "tracefs")

    mode, group, log, state, is_left, reasons = booted(job, {UNIT: reachable(installed())}, before)

    assert (0o660, 0) == (mode, group), log
    assert {"Result=success", "ActiveState=inactive"} == set(state.split())
    assert not is_left
    assert "perf_event_open" not in reasons


def seen_here(counts):
    """Return how many failures of this test are among the counts, each with its cause."""
    return sum(
        row["failures"]
        for row in counts["counts"]
        if row["remote_port"] == SERVER[1] and row["cause"] == "key_full"
    )


def reachable(text):
    """
    Return a unit that sees what the system's own programs need not: a checkout may be anywhere.

    The group is one that sysusers would have made.
    """
    text = text.replace("ProtectHome=yes\n", "").replace("PrivateTmp=yes\n", "")
    return text.replace("Group=portroom-trace\n", "Group=0\n")


def test_the_unit_is_in_order_and_may_do_little_else(tmp_path):
    """systemd finds nothing wrong with it; it has two capabilities and is not enabled by itself."""
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
    assert "CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SYS_PTRACE\n" in installed()


def test_the_group_is_made():
    """The group of the unit is the one that sysusers makes."""
    made = (ROOT / "packaging/sysusers.d/portroom-trace.conf").read_text()

    assert "Group=portroom-trace\n" in installed()
    assert re.search(r"(?m)^g portroom-trace - -$", made)
