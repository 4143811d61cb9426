"""Real exhaustion reaches somebody: by Apprise, and by Prometheus and Alertmanager."""

from __future__ import annotations

import contextlib
import errno
import http.server
import json
import socket
import struct
import subprocess
import threading
import urllib.request
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.e2e.faults import CLEAN, COMMAND
from tests.e2e.serving import PORT, served
from tests.kernel.harness import wait_until

RANGE = {"ip_local_port_range": "40000 40039"}
ELIGIBLE = 40

DATABASE, HOOK, PROMETHEUS, ALERTMANAGER = 5432, 8080, 9090, 9093

CONFIGURATION = f"""
[serve]
interval = "1s"

[alerts]
for = "1s"
drift = false
notify = ["json://me:secret@127.0.0.1:{HOOK}/apprise"]
"""

SCRAPES = f"""
global:
  scrape_interval: 1s
  evaluation_interval: 1s
scrape_configs:
  - job_name: portroom
    static_configs:
      - targets: ["127.0.0.1:{PORT}"]
rule_files:
  - rules.yml
alerting:
  alertmanagers:
    - static_configs:
        - targets: ["127.0.0.1:{ALERTMANAGER}"]
"""

DEADLINE_S = 60.0


class Hook(http.server.ThreadingHTTPServer):
    """A server that keeps what is posted, by path."""

    def __init__(self):
        super().__init__(("127.0.0.1", HOOK), Handler)
        self.posted = []


class Handler(http.server.BaseHTTPRequestHandler):
    """Keeps a request."""

    def do_POST(self):
        """Keep the body."""
        size = int(self.headers["Content-Length"])
        self.server.posted.append((self.path, json.loads(self.rfile.read(size))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@contextlib.contextmanager
def hook():
    """Serve a hook for the length of a ``with`` block."""
    with Hook() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def exhaust(listener):
    """Connect until the kernel refuses, and return the connections and its errno."""
    taken = []
    with contextlib.suppress(StopIteration):
        while True:
            one = socket.socket()
            # Closed by a reset: no TIME_WAIT is left that would go on holding the port.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            refused = one.connect_ex(listener.getsockname())
            if refused:
                return taken, refused
            taken.append((one, listener.accept()[0]))


def let_go(taken):
    """Close connections from the client's side, by a reset."""
    for client, server in taken:
        client.close()
        server.close()


@contextlib.contextmanager
def running(folder: Path, *command: str, ready: int):
    """Run a program until the end of the block; it is there once a port answers."""
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{ready}/-/ready"
        wait_until(lambda: answers(url), f"{command[0]} is ready", deadline_s=DEADLINE_S)
        yield process
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    """Say whether somebody answers there that all is well."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def titles(server):
    """Return the titles of what Apprise posted."""
    return [body["title"].partition("] ")[0] + "]" for path, body in server.posted if "app" in path]


def test_exhaustion_reaches_a_webhook_by_apprise_and_so_does_its_end(netns, tmp_path):
    """Connects until the kernel refuses, a daemon, one message; connections end, another one."""
    (tmp_path / "portroom.toml").write_text(CONFIGURATION)

    def job():
        """Fill the key, wait for the message, let go, wait for the end."""
        with (
            hook() as server,
            socket.create_server(("127.0.0.1", DATABASE), backlog=100) as listener,
            served(tmp_path, "--config", str(tmp_path / "portroom.toml")) as daemon,
        ):
            daemon.wait_until_sampled()
            taken, refused = exhaust(listener)
            wait_until(lambda: titles(server), "an alert was sent", deadline_s=DEADLINE_S)
            told = daemon.get("/api/v1/status").status
            let_go(taken)
            wait_until(lambda: titles(server)[1:], "its end was sent", deadline_s=DEADLINE_S)
            return len(taken), refused, server.posted, told, daemon.told

    taken, refused, posted, status, log = netns(job, **RANGE)

    (_, begun), (_, ended) = posted
    assert (ELIGIBLE, errno.EADDRNOTAVAIL, 200) == (taken, refused, status)
    assert begun["title"].startswith("[critical] "), log
    assert (
        f"40 of 40 ports for TCP 127.0.0.1:{DATABASE} from 127.0.0.1 are held." in begun["message"]
    )
    assert "failure" == begun["type"]
    assert ended["title"].startswith("[resolved] "), log
    assert "secret" not in log


def test_one_message_can_be_tried(netns, tmp_path):
    """`portroom alerts test` says of each address whether it took it."""
    (tmp_path / "portroom.toml").write_text(CONFIGURATION)

    def job():
        """Send one message."""
        with hook() as server:
            ran = subprocess.run(
                [*COMMAND, "alerts", "test", "--config", str(tmp_path / "portroom.toml")],
                env=CLEAN,
                capture_output=True,
                text=True,
                check=False,
            )
            return ran.returncode, ran.stdout, ran.stderr, server.posted

    status, said, error, posted = netns(job)

    assert (0, "1. json: sent\n") == (status, said), error
    assert posted[0][1]["title"].startswith("[test] ")


@pytest.mark.deep
def test_exhaustion_reaches_a_webhook_by_prometheus_and_alertmanager(netns, tmp_path):
    """The shipped rules, and the shipped Alertmanager but for its waiting times."""
    rules = (ROOT / "fleet/prometheus/portroom.rules.yml").read_text()
    manager = (ROOT / "fleet/prometheus/alertmanager.yml").read_text()
    (tmp_path / "rules.yml").write_text(rules.replace("for: 30s", "for: 2s"))
    (tmp_path / "prometheus.yml").write_text(SCRAPES)
    (tmp_path / "alertmanager.yml").write_text(
        manager.replace("group_wait: 30s", "group_wait: 0s").replace(
            "group_interval: 5m", "group_interval: 1s"
        )
    )

    def job():
        """Fill the key, wait for the hook, let go, wait for the end."""
        with (
            hook() as server,
            socket.create_server(("127.0.0.1", DATABASE), backlog=100) as listener,
            served(tmp_path, "--interval", "1s", "--set", "alerts.drift=false") as daemon,
            running(
                tmp_path,
                "prometheus-alertmanager",
                "--config.file=alertmanager.yml",
                "--storage.path=manager",
                f"--web.listen-address=127.0.0.1:{ALERTMANAGER}",
                "--cluster.listen-address=",
                ready=ALERTMANAGER,
            ),
            running(
                tmp_path,
                "prometheus",
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                f"--web.listen-address=127.0.0.1:{PROMETHEUS}",
                ready=PROMETHEUS,
            ),
        ):
            daemon.wait_until_sampled()
            taken, refused = exhaust(listener)
            wait_until(lambda: told(server, "firing"), "an alert was sent", deadline_s=DEADLINE_S)
            let_go(taken)
            wait_until(lambda: told(server, "resolved"), "its end was sent", deadline_s=DEADLINE_S)
            return refused, told(server, "firing"), told(server, "resolved")

    refused, begun, ended = netns(job, deadline_s=180.0, **RANGE)

    assert errno.EADDRNOTAVAIL == refused
    assert "critical" == begun[0]["labels"]["severity"]
    assert "100% held" in begun[0]["annotations"]["summary"]
    assert "docs/alerts/key_critical.md" == begun[0]["annotations"]["page"]
    assert ended


def told(server, status):
    """Return the alerts about the key that Alertmanager posted with a status."""
    return [
        alert
        for path, body in server.posted
        if path == "/alerts"
        for alert in body["alerts"]
        if (alert["labels"]["alertname"], alert["status"]) == ("PortroomKeyCritical", status)
    ]
