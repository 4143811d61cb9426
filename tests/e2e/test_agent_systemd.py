"""
The daemon does its work with the rights that its unit leaves it, under the real systemd.

The real systemd boots in namespaces of its own, see ``systemd_host.py``. There it cannot
make users, so the daemon is nobody; all other restrictions are those of the unit.
"""

import grp
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from portroom.kernel import published
from portroom.trace.publish import Published
from tests.e2e.faults import needs_root, open_ways
from tests.e2e.systemd_host import booted, refusal
from tests.kernel.harness import wait_until
from tests.kernel.sockets import connected, listener
from tests.unit.made_failures import counts, failure

UNITS = Path(__file__).parents[2] / "packaging/systemd"
AGENT, SOCKET = "portroom-agent.service", "portroom-agent.socket"

FULL = os.environ.get("PORTROOM_TESTS") == "full"

DAEMON = http.client.HTTPConnection("127.0.0.1", 9765, timeout=5)

COUNTS = Path(published.COUNTS)

FEATURES = "/run/portroom-agent/features.json"

STATE = Path("/var/lib/portroom-agent")

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")

CONNECTIONS = 60
"""More than half of the range: below it no key is looked at."""

SERVER = ("127.0.0.1", 9754)

CLIENT = """
import socket, sys
address, port, count = sys.argv[1], *map(int, sys.argv[2:])
server = socket.create_server((address, port), backlog=count)
clients = [socket.create_connection((address, port)) for _ in range(count)]
served = [server.accept()[0] for _ in clients]
sys.stdin.read()
for connection in (*clients, *served):
    connection.close()
"""
"""A process of the booted host: those outside cannot be seen there."""

RESTART_S = 2.0

pytestmark = needs_root


@pytest.fixture(name="systemd_boots", autouse=True)
def _systemd_boots():
    """
    Skip where systemd cannot be booted; REQUIRE=e2e makes that a failure.
    """
    if reason := refusal():
        pytest.skip(reason)


def agent(*names, options=""):
    """
    Return the unit with some drop-ins, the program where it is now, and a user that is there.

    A checkout may be anywhere, and the group is one that every system has.
    """
    text = (UNITS / AGENT).read_text()
    text += "".join((UNITS / f"optional/{name}.conf").read_text() for name in names)
    program = str(Path(sys.executable).with_name("portroom"))
    text = text.replace("/usr/bin/portroom", program)
    served = f"ExecStart={program} serve --set serve.features_file={FEATURES}"
    for line, other in (
        (served, f"{served} --interval 1s {options}"),
        ("DynamicUser=yes", "User=nobody"),
        ("SupplementaryGroups=portroom-trace", "SupplementaryGroups=nogroup"),
        ("ProtectHome=yes", ""),
        ("PrivateTmp=yes", ""),
    ):
        assert f"\n{line}\n" in text
        text = text.replace(f"\n{line}\n", f"\n{other}\n")
    return text


def get(path):
    """
    Return what the daemon answers, as values; None while it does not.

    All is asked by one connection, or who asks would soon have used up the range.
    """
    try:
        DAEMON.request("GET", path)
        return json.load(DAEMON.getresponse())
    except (OSError, http.client.HTTPException):
        DAEMON.close()
        return None


def control(enter, *words):
    """Run systemctl on the booted host and return what it says."""
    done = subprocess.run(
        [*enter, "systemctl", *words], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def shown(enter, name):
    """Return one property of the daemon's unit."""
    return control(enter, "show", AGENT, f"--property={name}", "--value").strip()


def under_systemd(job, *names, options="", units=None, before=lambda: None):
    """Return what *job* returns on a host where the daemon runs and answers."""

    def within(enter):
        """Wait for the first answer, then do the job; tell how it stood where that fails."""
        try:
            wait_until(lambda: get("/healthz"), "the daemon answers")
            return job(enter)
        except BaseException as error:
            error.add_note(control(enter, "status", "--no-pager", AGENT))
            error.add_note(Path("/run/kmsg").read_text()[-2000:])
            raise

    def first():
        """Let nobody reach the program, and do what the test wants before the boot."""
        open_ways()
        RANGE.write_text("40000 40099")
        before()

    return booted(within, {AGENT: agent(*names, options=options)} | (units or {}), first)


def test_it_watches_without_any_right():
    """It says how it stands, is back soon after a crash, and ends in order; sockets are counted."""

    def job(enter):
        """Ask, kill, reload, stop."""
        listener(*SERVER)
        kept = [connected(SERVER) for _ in range(CONNECTIONS)]
        wait_until(lambda: connections() == len(kept), "connections are counted")
        unseen = [gap["reason"] for gap in get("/api/v1/headroom")["gaps"]]
        rights = Path(f"/proc/{outside(enter)}/status").read_text()
        status = shown(enter, "StatusText")
        reloaded = control(enter, "reload", AGENT)
        os.kill(outside(enter), signal.SIGKILL)
        died_s = time.monotonic()
        wait_until(lambda: shown(enter, "NRestarts") == "1" and get("/healthz"), "it is back")
        back_s = time.monotonic() - died_s
        remembered = sorted(path.name for path in STATE.iterdir()), STATE.stat().st_mode & 0o777
        control(enter, "stop", AGENT)
        ended = shown(enter, "Result"), get("/healthz")
        return rights, status, reloaded, back_s, remembered, unseen, ended

    rights, status, reloaded, back_s, remembered, unseen, ended = under_systemd(job)

    assert ["0000000000000000"] * 5 == re.findall(r"Cap\w+:\t(\w+)", rights)
    assert "1 network namespace every 1 s" in status
    assert "" == reloaded
    assert back_s < RESTART_S + 1  # of a machine that does much else meanwhile
    assert "history.sqlite" in " ".join(remembered[0])
    assert 0o700 == remembered[1]
    assert ("success", None) == ended
    # It may make no namespace to ask what this kernel lists: root did, and kept it.
    assert [] == [reason for reason in unseen if "only bound" in reason]


def outside(enter):
    """Return the daemon's process as this namespace numbers it."""
    inside = int(shown(enter, "MainPID"))
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and f"\nNSpid:\t{folder.name}\t{inside}\n" in status_of(folder):
            return int(folder.name)
    raise AssertionError(f"no process {inside} of the booted host")


def status_of(folder):
    """Return the status of a process, "" if it has ended."""
    try:
        return (folder / "status").read_text()
    except OSError:
        return ""


def connections():
    """Return how many connections to the server the daemon saw."""
    keys = (get("/api/v1/headroom") or {"keys": []})["keys"]
    return sum(key["held_ports"] for key in keys if key["remote_port"] == SERVER[1])


def the_counts_of_failures_are_read():
    """By its group alone, from a user namespace of its own, where root is still root."""

    def job(_):
        """Serve counts as the trace service does, to the group, and wait until they are told."""
        group = grp.getgrnam("nogroup").gr_gid
        COUNTS.parent.mkdir(mode=0o750)
        with Published(str(COUNTS)) as served:
            for path in (COUNTS.parent, COUNTS):
                os.chown(path, 0, group)
            document = msgspec.json.encode(counts((failure(),), times=3))

            def are_told():
                """Answer whoever asks; say whether the daemon tells of it."""
                if served.is_asked():
                    served.answer(document)
                return (get("/api/v1/status") or {"watch": {}})["watch"].get("failures")

            wait_until(are_told, "the daemon tells of failures")
            return are_told()

    assert 3 == under_systemd(job)["failures_total"]


def owners_are_named():
    """Two capabilities, and the processes of others have names."""

    def job(enter):
        """Have connections that end, and wait until they have an owner."""
        words = [*enter, sys.executable, "-c", CLIENT, *map(str, (*SERVER, CONNECTIONS))]
        with subprocess.Popen(words, stdin=subprocess.PIPE) as client:
            wait_until(lambda: connections() == CONNECTIONS, "connections are counted")
            seen = samples()
            wait_until(lambda: samples() > seen + 1, "their process was seen with them")
            client.communicate()
        wait_until(owners, "TIME_WAITs are charged to who left them")
        return Path(f"/proc/{outside(enter)}/status").read_text(), owners()

    rights, named = under_systemd(job, "owners")

    # CAP_DAC_READ_SEARCH is bit 2, CAP_SYS_PTRACE bit 19.
    assert f"CapEff:\t{1 << 2 | 1 << 19:016x}\n" in rights
    assert {Path(sys.executable).name[:15]} == named


def samples():
    """Return how many samples the daemon took."""
    return get("/api/v1/status")["watch"]["samples_total"]


def owners():
    """Return to whom the TIME_WAITs that the daemon saw are charged."""
    told = get("/api/v1/headroom") or {"charges": []}
    return {one["owner"]["command"] for key in told["charges"] for one in key if one["owner"]}


def namespaces_are_entered():
    """A namespace that has a name is sampled, though the daemon is not root."""

    def job(enter):
        """Wait until both namespaces are told."""
        named = {"host", "red"}
        wait_until(lambda: named <= set(namespaces()), "both are sampled")
        return shown(enter, "NRestarts"), namespaces()

    def before():
        """Have a namespace with a name before anything starts."""
        subprocess.run(["ip", "netns", "add", "red"], check=True)

    restarts, told = under_systemd(job, "netns", options="--all-netns", before=before)

    assert "0" == restarts
    assert {"host", "red"} <= set(told)


def namespaces():
    """Return the names of the namespaces that the daemon samples."""
    told = get("/api/v1/namespaces") or {"namespaces": []}
    return [one["netns"]["name"] for one in told["namespaces"]]


def systemd_holds_the_address():
    """Who asks while the daemon is not there waits for it; nobody is refused."""

    def job(enter):
        """Stop the daemon, and ask: that starts it."""
        control(enter, "stop", AGENT)
        control(enter, "start", SOCKET)
        stopped = shown(enter, "ActiveState")
        DAEMON.close()
        answer = get("/healthz")
        wait_until(lambda: shown(enter, "ActiveState") == "active", "it has started")
        return stopped, answer, shown(enter, "Result")

    stopped, answer, result = under_systemd(job, units={SOCKET: (UNITS / SOCKET).read_text()})

    assert ("inactive", "success") == (stopped, result)
    assert answer


WAYS = {
    "owners": owners_are_named,
    "netns": namespaces_are_entered,
    "counts": the_counts_of_failures_are_read,
    "socket": systemd_holds_the_address,
}


@pytest.mark.parametrize("way", WAYS if FULL else ["netns"])
def test_what_it_is_given_it_can_use(way):
    """Each drop-in gives what it says, the group its counts, and the socket its address."""
    WAYS[way]()
