"""`portroom serve` begins, goes on and ends as it promises, whatever happens around it."""

import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.faults import CLEAN, COMMAND, alone, ask, refused
from tests.e2e.serving import FULL, PORT, cpu_s, deep, served, wakings
from tests.kernel.harness import wait_for_age, wait_until, write_settings

FAST = ("--interval", "1s")


@pytest.fixture(name="host")
def _host(netns):
    """
    Return what runs a function on a host of its own, as far as one can be made.

    As root it has no other processes: however many descriptors these hold, nobody
    looks through them.
    """
    return alone if os.geteuid() == 0 else netns


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 0), *([(signal.SIGINT, 130)] if FULL else [])],
)
def test_it_ends_within_a_second_with_streams_attached(host, tmp_path, number, status):
    """Whoever reads events, or has begun a request, does not hold it up; history has its end."""

    def job():
        """Have readers who read, one who does not, and half a request."""
        with served(tmp_path, *FAST) as daemon:
            daemon.wait_until_sampled()
            streams = [daemon.stream() for _ in range(5)]
            half = socket.create_connection(("127.0.0.1", PORT))
            half.sendall(b"GET / HTTP/1.1\r\nHost:")
            ended = daemon.end(number)
            return ended, [is_ended(one) for one in streams], daemon.told

    (seen, took_s), over, told = host(job)

    assert status == seen, told
    assert took_s < 1.0, told
    assert [True] * 5 == over
    assert f"portroom ends by {number.name}." in told.splitlines()[-1]


def is_ended(stream):
    """Say that a stream is over, once all of it was read."""
    try:
        while stream.recv(1 << 20):
            pass
    except ConnectionError:
        pass
    return True


def test_a_port_in_use_is_one_sentence(host, tmp_path):
    """It says how to find who has it; nothing else is begun."""

    def job():
        """Listen there before it does."""
        with socket.create_server(("127.0.0.1", PORT)):
            return ask("serve", environment={"XDG_STATE_HOME": str(tmp_path)})

    refused(host(job), 3, "Cannot listen on 127.0.0.1:9765: another program does.", "sessions")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--listen", "localhost:1"), ["'localhost:1'", "127.0.0.1:9765"]),
        *(
            [
                (("--interval", "soon"), ["interval", "'soon'"]),
                (("--set", "alerts.warming=0.7"), ["alerts", "'warming'", "warning"]),
                (("--config", "/nowhere.toml"), ["/nowhere.toml"]),
            ]
            if FULL
            else []
        ),
    ],
)
def test_wrong_words_are_one_sentence(words, parts):
    """Each names what was seen and what is meant."""
    refused(ask("serve", *words), 2, *parts)


def test_a_reload_takes_a_good_file_and_leaves_a_broken_one(host, tmp_path):
    """The daemon goes on in between, by the configuration that holds."""
    file = tmp_path / "portroom.toml"

    def job():
        """Write one file after the other, and let it read each."""
        file.write_text('[serve]\ninterval = "1h"\n')
        with served(tmp_path, "--config", str(file)) as daemon:
            daemon.wait_until_sampled()
            file.write_text('[serve]\nintervall = "1s"\n')
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for("stays as it was")
            kept = daemon.metric("portroom_interval_seconds")
            file.write_text('[serve]\ninterval = "1s"\nlog = "json"\nhosts = ["web-1"]\n')
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for("read anew")
            daemon.wait_until_sampled(2)
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for("nothing changed")
            named = daemon.get("/healthz", {"Host": f"web-1:{PORT}"})
            return kept, daemon.metric("portroom_interval_seconds"), named, daemon.told

    kept, taken, named, told = host(job)

    assert (3600.0, 1.0) == (kept, taken)
    assert 200 == named.status
    assert f"{file}:2: " in told
    assert "changed: serve.interval, serve.hosts and serve.log." in told
    assert "reloaded" == json.loads(told.splitlines()[-1])["event"]


def test_a_manager_is_told_and_gets_signs_of_life(host, tmp_path):
    """It is ready when there is something to answer with, and says that it ends."""
    path = f"{tmp_path}/notify"

    def job():
        """Be the manager, by a real socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(20)
            wanted = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}
            with served(tmp_path, *FAST, environment=wanted) as daemon:
                told = [manager.recv(4096).decode()]
                while not (told[-1].startswith("READY=1") and "WATCHDOG=1" in told):
                    told.append(manager.recv(4096).decode())
                sampled = daemon.metric("portroom_samples_total")
                began_s = time.monotonic()
                for _ in range(3):
                    while manager.recv(4096) != b"WATCHDOG=1":
                        pass
                took_s = time.monotonic() - began_s
                daemon.process.send_signal(signal.SIGHUP)
                until(manager, "RELOADING=1")
                until(manager, "READY=1")
                daemon.end()
                until(manager, "STOPPING=1")
                return told, sampled, took_s

    told, sampled, took_s = host(job)

    assert "STATUS=Samples 1 network namespace every 1 s; no key is half full." in told[-1]
    assert sampled >= 1
    assert took_s < 1.0  # three halves of 200 ms


def until(manager, words):
    """Read what the manager is told until it begins so."""
    while not manager.recv(4096).decode().startswith(words):
        pass


@deep
@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="no systemd-socket-activate"
)
def test_it_takes_over_the_socket_of_a_socket_unit(host, tmp_path):
    """The address is that of the unit, and the first request of all is answered."""

    def job():
        """Let systemd's own tool listen, and start it as somebody asks."""
        activate = ["systemd-socket-activate", "-l", "127.0.0.1:9999", "-E", "XDG_STATE_HOME"]
        command = [*activate, *COMMAND, "serve"]
        with served(tmp_path, command=command, port=9999) as daemon:
            wait_until(lambda: "Listening" in daemon.told, "it listens")
            answer = daemon.get("/healthz")
            daemon.wait_for("http://127.0.0.1:9999/;")
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", PORT))
            return answer.status, daemon.end()[0]

    answer, ended = host(job)

    assert answer in {200, 503}  # the first sample may not have been taken yet
    assert 0 == ended


def test_it_is_there_again_within_two_seconds_of_a_kill(host, tmp_path):
    """What it remembers is whole, and its address is free at once."""

    def job():
        """Kill it in the middle of its work, with somebody attached."""
        with served(tmp_path, *FAST) as daemon:
            daemon.wait_until_sampled()
            stream = daemon.stream()
            daemon.end(signal.SIGKILL)
        began_s = time.monotonic()
        with served(tmp_path, *FAST) as daemon:
            daemon.wait_until_sampled()
            took_s = time.monotonic() - began_s
            status = daemon.get("/api/v1/status").json
            stream.close()
            return took_s, status, daemon.told

    took_s, status, told = host(job)

    assert took_s < 2.0
    assert 28_232 == status["range"]["eligible_ports"]
    assert "degraded" not in told


@deep
def test_two_daemons_on_one_history_both_go_on(host, tmp_path):
    """The second says that it cannot remember; its samples are as good."""

    def job():
        """Start both on one file."""
        file = ("--history", f"{tmp_path}/one.sqlite")
        with served(tmp_path, *FAST, *file) as first:
            first.wait_until_sampled(2)
            with served(tmp_path, *FAST, *file, "--listen", "127.0.0.1:9766", port=9766) as second:
                second.wait_until_sampled(2)
                told = first.told, second.told
                statuses = [one.get("/api/v1/status").json for one in (first, second)]
                return told, statuses, [first.end()[0], second.end()[0]]

    (first, second), statuses, ended = host(job)

    assert [28_232, 28_232] == [one["range"]["eligible_ports"] for one in statuses]
    assert [0, 0] == ended
    assert "degraded" not in first, first
    assert second.count("History is degraded") == 1, second


def test_nothing_wakes_it_between_samples(host, tmp_path):
    """With an hour from sample to sample it sleeps."""

    def job():
        """Look how often it wakes, and what that costs."""
        with served(tmp_path, "--interval", "1h") as daemon:
            daemon.wait_until_sampled()
            pid = daemon.process.pid
            rested = time.monotonic()
            wait_for_age(rested, 0.3)
            before = wakings(pid), cpu_s(pid)
            wait_for_age(rested, 1.0)
            return wakings(pid) - before[0], cpu_s(pid) - before[1]

    woken, used_s = host(job)

    assert woken <= 1
    assert used_s <= 0.01


@deep
def test_other_hosts_need_the_token_which_is_in_no_log(host, tmp_path):
    """The warning names the file."""

    def job():
        """Listen on all addresses, and ask by one that is not loopback."""
        with served(tmp_path, *FAST, "--listen", "0.0.0.0:9765") as daemon:
            daemon.wait_for("need the token")
            daemon.wait_until_sampled()
            file = re.search(r"need the token in (\S+)\.\n", daemon.told)[1]
            secret = Path(file)
            return daemon.told, secret.read_text().strip(), secret.stat().st_mode & 0o777

    told, token, mode = host(job)

    assert 0o600 == mode
    assert len(token) > 20
    assert token not in told
    assert "warning: Other hosts may ask on 0.0.0.0:9765, unencrypted" in told


@deep
def test_a_saved_snapshot_is_served(host, tmp_path):
    """Nothing is sampled and nothing remembered; nothing is told but the file."""

    def job():
        """Save one with another range, and serve it."""
        file = f"{tmp_path}/a.snapshot"
        assert ask("snapshot", "--out", file).status == 0
        write_settings(ip_local_port_range="20000 20999")
        with served(tmp_path, "--snapshot", file) as daemon:
            wait_until(lambda: "nothing is sampled" in daemon.told, "it began")
            wait_until(lambda: ready(daemon), "it answers")
            status, past = (daemon.get(f"/api/v1/{name}") for name in ("status", "history"))
            return status.json, (past.status, past.json), daemon.end()[0]

    status, (past, problem), ended = host(job)

    assert 28_232 == status["range"]["eligible_ports"]
    assert (503, "A saved Snapshot has no history: it is one moment.") == (past, problem["message"])
    assert 0 == ended
    assert [] == list(tmp_path.glob("**/*.sqlite"))


def ready(daemon):
    """Say whether a daemon answers."""
    try:
        return daemon.get("/api/v1/status").status == 200
    except ConnectionError:
        return False


@deep
def test_a_terminal_that_is_closed_ends_it(host, tmp_path):
    """Nobody finds it in the background later; a SIGHUP with the terminal there does not."""

    def job():
        """Run it on a terminal, and close that."""
        ours, theirs = pty.openpty()
        with served(tmp_path, *FAST, stderr=theirs) as daemon:
            os.close(theirs)
            daemon.wait_until_sampled()
            daemon.process.send_signal(signal.SIGHUP)
            seen = b""
            while b"read anew" not in seen:
                seen += os.read(ours, 4096)
            os.close(ours)
            return daemon.end(signal.SIGHUP)

    status, took_s = host(job)

    assert 0 == status
    assert took_s < 1.0


def test_without_what_the_web_needs_it_says_what_to_install():
    """The extra is named; nothing of it is looked for by other commands."""
    without = "import sys; sys.modules['uvicorn'] = None; from portroom.cli import main; main()"
    done = subprocess.run(
        [COMMAND[0], "-c", without, "serve"], env=CLEAN, capture_output=True, text=True, check=False
    )

    assert 3 == done.returncode
    assert "pip install 'portroom[serve]'" in done.stderr
    assert 1 == done.stderr.count("\n")


@deep
def test_the_daemon_loads_nothing_that_changes_the_system(host, tmp_path):
    """None of the modules of the room that writes is there, once it samples and answers."""

    def job():
        """Let Python list what it loads."""
        command = [COMMAND[0], "-v", *COMMAND[1:], "serve", *FAST]
        with served(tmp_path, command=command) as daemon:
            daemon.wait_until_sampled()
            return daemon.told

    told = host(job)

    assert "import 'portroom.daemon.web'" in told
    assert "portroom.change" not in told
