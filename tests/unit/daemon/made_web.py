"""What the web's tests ask: a Watched made by hand, and a daemon's web on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec

from portroom.daemon.board import Board
from portroom.daemon.server import serve
from portroom.daemon.web import application
from portroom.model.facts.answers import Findings, SettingsAnswer, Status
from portroom.model.facts.config import Config
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sample import BELOW_HALF, FULL, Forecast, Instant, Sample
from portroom.model.facts.watched import Known, Watched
from tests.unit.render.examples import AT, HOST, HOSTILE, KEYS, RANGE, SUMMARY

__all__ = ["AT", "HOST", "HOSTILE", "KEYS", "SUMMARY"]

NOW = Instant("boot", 1000.0, AT)
EARLIER = AT - datetime.timedelta(minutes=4)


def sample(depth=FULL, *, keys=KEYS, where=HOST, at=AT, gaps=()):
    """Return a sample of some depth."""
    below = depth == BELOW_HALF
    return Sample(
        host="web1",
        taken_at=at,
        netns=where,
        gaps=(*gaps, Gap("keys", "below half", ("keys",))) if below else tuple(gaps),
        instant=NOW,
        depth=depth,
        range=RANGE,
        keys=() if below else tuple(keys),
        keys_total=None if below else len(keys) + 2,
        sessions=SUMMARY
        if depth == FULL
        else msgspec.structs.replace(SUMMARY, states={}, udp_states={}, bound_local_ports=None),
    )


def status(*, at=AT, where=HOST, keys=KEYS):
    """Return the status that a full sample left."""
    return Status(
        host="web1",
        taken_at=at,
        netns=where,
        gaps=(Gap("boot", "unreadable", ("drift",)),),
        range=RANGE,
        tightest=tuple(keys[:5]),
        keys_total=len(keys) + 2,
        sessions=SUMMARY,
        findings=(examples_finding(),),
    )


def examples_finding():
    """Return one finding."""
    from portroom.model.facts.answers import Finding

    return Finding("critical", "tight_key", "All ports are held.", "Widen the range.")


def known(depth=FULL, *, where=HOST, keys=KEYS, **changes):
    """Return what is known of a namespace whose newest sample has some depth."""
    at = AT if depth == FULL else EARLIER
    header = {"host": "web1", "taken_at": at, "netns": where}
    fields: dict[str, Any] = {
        "sample": sample(depth, where=where, keys=keys),
        "forecasts": tuple(Forecast(exhausted_in_s=60.0 * n) for n in range(1, len(keys) + 1)),
        "states": SUMMARY,
        "states_at": at,
        "status": status(at=at, where=where, keys=keys),
        "settings": SettingsAnswer(**header, settings=()),
        "findings": Findings(**header, findings=(examples_finding(),), checked=("tight_key",)),
    }
    return Known(**fields | changes)


def watched(*namespaces, **changes):
    """Return what the daemon knows, of one full sample unless told otherwise."""
    fields: dict[str, Any] = {
        "version": "0",
        "host": "web1",
        "started_at": EARLIER,
        "now": NOW,
        "interval_s": 10.0,
        "namespaces": namespaces or (known(),),
        "samples_total": 3,
    }
    return Watched(**fields | changes)


class Web:
    """
    A daemon's web in a thread of its own.

    Args:
        told: What its board shows, None for nothing yet.
        config: What holds.
        token: What others than loopback must show.
        address: Where it listens.
        file: Where the history lies.
        path: Of a unix socket to listen on instead.
    """

    def __init__(
        self, told=None, config=None, token=None, address="127.0.0.1", file="/no/history", path=""
    ):
        self.bugs: list[str] = []
        self.board = Board()
        self.socket = unix_socket(path) if path else socket.create_server((address, 0))
        self.place = self.socket.getsockname()
        self.port = 0 if path else self.place[1]
        self.family = self.socket.family
        self.address = address
        self.url = f"http://{address}:{self.port}"
        self._file = file
        self._told, self._config, self._token = told, config or Config(), token
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        """Answer until told to stop."""
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self):
        """Answer until told to stop; tasks that are left are ended."""
        if self._told is not None:
            self.board.publish(self._told)
        app = application(
            self.board, self._config, self._token, self._file, self._stop, self.bugs.append
        )
        self._loop.call_soon(self._is_up.set)
        await serve(app, [self.socket], self._stop)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def publish(self, told):
        """Put up another Watched."""
        self._loop.call_soon_threadsafe(self.board.publish, told)

    def begin_to_stop(self):
        """Do what a signal makes the daemon do."""

        def stop():
            """Set what ends the server, and end the streams."""
            self._stop.set()
            self.board.close()

        self._loop.call_soon_threadsafe(stop)

    def __enter__(self):
        """Begin to answer."""
        self._thread.start()
        assert self._is_up.wait(5)
        return self

    def __exit__(self, *_):
        """Stop."""
        with contextlib.suppress(RuntimeError):
            self.begin_to_stop()
        self._thread.join(5)
        assert not self._thread.is_alive()

    def get(self, path, *, method="GET", **headers):
        """Ask once."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx.Client(trust_env=False) as client:
            return client.request(method, self.url + path, headers=names)

    def connect(self):
        """Return a connection on which nothing was said yet."""
        one = socket.socket(self.family, socket.SOCK_STREAM)
        one.settimeout(5)
        one.connect(self.place)
        return one

    def raw(self, sent):
        """Send bytes, and return all that comes back until the other end closes."""
        with self.connect() as one:
            one.sendall(sent)
            return b"".join(received(one))


def unix_socket(path):
    """Return a socket that listens at a path."""
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    one.bind(path)
    one.listen()
    return one


def received(one) -> Iterator[bytes]:
    """Yield what comes until the other end closes or breaks the connection."""
    with contextlib.suppress(ConnectionError):
        while part := one.recv(65536):
            yield part
