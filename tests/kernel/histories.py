"""Random histories of one namespace: play steps, and compare with predictions.

A step is a tuple: its name, then small numbers or names that say what it is
about. A step that the kernel refuses is no error, as long as it was foretold.
Numbers that pick a socket count round, so that any number will do.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from portroom.model.facts.answers import Key
from tests.kernel import needs
from tests.kernel.harness import LIBC, wait_until, write_settings
from tests.kernel.predict import Trial, predict, span
from tests.kernel.sockets import (
    Address,
    Filled,
    accept_all,
    connected,
    in_state,
    listener,
    local_port,
    reset,
    take,
    tcp,
)

FIRST_PORT = 40_000
SERVER_PORTS = (9000, 9001)
SOURCES = ("127.0.0.1", "127.0.0.2", "127.0.0.9")
PLACES = (*SOURCES, "0.0.0.0", "::", "::1")

Step = tuple[str | int | bool | None, ...]


class Held(NamedTuple):
    """A socket of the history, and the other end if that is ours too."""

    socket: socket.socket
    peer: socket.socket | None = None
    listens: bool = False


class History:
    """
    One namespace and the sockets that steps have left in it.

    Args:
        ports: Size of the range, which begins at FIRST_PORT.
        exact: Whether a prediction with the probe must be the very number.
    """

    def __init__(self, ports: int, *, exact: bool) -> None:
        self.ports = ports
        self.exact = exact
        self.held: list[Held] = []
        self.comparisons = 0
        self._features = needs.features()
        self._outside_port = 20_000
        self._servers = {
            (family, port): listener(address, port, v6only=v6only)
            for port in SERVER_PORTS
            for family, address, v6only in (
                (socket.AF_INET, "0.0.0.0", None),
                (socket.AF_INET6, "::", True),
            )
        }

    def play(self, steps: Sequence[Step], compare_every: int) -> str:
        """
        Play *steps* and return what the kernel did against a prediction, or "".
        """
        for number, step in enumerate(steps, 1):
            self._play_one(step)
            if number % compare_every == 0 and (found := self.compare(number)):
                done = "\n".join(map(str, steps[:number]))
                return f"after the steps\n{done}\n{found}"
        return ""

    def _play_one(self, step: Step) -> None:
        """Play one step; that the kernel may refuse it is part of the history."""
        try:
            getattr(self, str(step[0]))(*step[1:])
        except TimeoutError as error:
            raise AssertionError(f"{step} waited in vain") from error
        except OSError:
            pass

    # Steps.

    def connect(self, source: str | None, server: int, mapped: bool) -> None:
        """Connect to one of the two servers, from one address or from any."""
        port = SERVER_PORTS[server]
        if source == "::1":
            made = connected(("::1", port))
        elif mapped:
            made = connected(("::ffff:127.0.0.1", port))
        elif source:
            made = connected(("127.0.0.1", port), bind=(source, 0), noport=True)
        else:
            made = connected(("127.0.0.1", port))
        family = socket.AF_INET6 if source == "::1" else socket.AF_INET
        self._hold_pair(made, self._servers[family, port])

    def connect_bound(self, source: str, server: int, offset: int | None, reuse: bool) -> None:
        """Bind to any port, or to a named one, then connect to a server."""
        port = 0 if offset is None else FIRST_PORT + offset
        remote = ("::1" if ":" in source else "127.0.0.1", SERVER_PORTS[server])
        made = connected(remote, bind=(source, port), reuse_address=reuse)
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self._hold_pair(made, self._servers[family, remote[1]])

    def bind(self, place: str, offset: int | None, v6only: bool, reuse: bool, share: bool) -> None:
        """Bind to any port, or to a named one, and leave it at that."""
        port = 0 if offset is None else FIRST_PORT + offset
        only = v6only if ":" in place else None
        made = tcp((place, port), v6only=only, reuse_address=reuse, reuse_port=share)
        self.held.append(Held(made))

    def listen(self, place: str | None, offset: int | None, v6only: bool) -> None:
        """Listen at a place, or without a bind at all."""
        if place is None:
            made = tcp()
        else:
            port = 0 if offset is None else FIRST_PORT + offset
            only = v6only if ":" in place else None
            made = tcp((place, port), v6only=only)
        made.listen(64)
        self.held.append(Held(made, listens=True))

    def listen_bound(self, number: int) -> None:
        """Make a listener of a socket that may be bound."""
        found = self._pick(number)
        if found and found.peer is None:
            found.socket.listen(64)
            self.held.remove(found)
            self.held.append(Held(found.socket, listens=True))

    def inbound(self, number: int, automatic: bool, accept: bool) -> None:
        """Connect to one of the history's own listeners, from inside or outside the range."""
        listening = [found.socket for found in self.held if found.listens]
        if not listening:
            return
        server = listening[number % len(listening)]
        remote = self._reachable(server)
        if automatic:
            client = connected(remote)
        else:
            self._outside_port += 1
            source = "::1" if ":" in remote[0] else "127.0.0.8"
            client = connected(remote, bind=(source, self._outside_port))
        if not accept:
            self.held.append(Held(client))
            return
        place = client.getsockname()
        # Connections that nobody accepted so far come first.
        while (child := accept_all(server, 1)[0]).getpeername() != place:
            self.held.append(Held(child))
        self.held.append(Held(child, client))

    def close(self, number: int) -> None:
        """Close one socket, its peer staying open."""
        if found := self._pop(number):
            found.socket.close()

    def reset(self, number: int) -> None:
        """Reset one connection."""
        if found := self._pop(number):
            reset([found.socket])
            if found.peer:
                _read_end(found.peer)
                found.peer.close()

    def finish(self, number: int, peer_first: bool) -> None:
        """Close both ends in good order, which leaves the first in TIME_WAIT."""
        found = self._pop(number)
        if not found:
            return
        ends = [found.socket, *([found.peer] if found.peer else [])]
        if peer_first:
            ends.reverse()
        if len(ends) == 1:
            ends[0].close()
            return
        place = ends[0].getsockname(), ends[0].getpeername()
        ends[0].close()
        _read_end(ends[1])
        ends[1].close()
        wait_until(lambda: _state(*place) in {None, 6}, f"{place} is in TIME_WAIT")

    def dissolve(self, number: int) -> None:
        """Connect a socket to nothing, which gives back a port it did not ask for."""
        if found := self._pick(number):
            LIBC.connect(found.socket.fileno(), bytes(16), 16)

    def reserve(self, offsets: frozenset[int]) -> None:
        """Reserve these ports of the range, and no others."""
        ports = ",".join(str(FIRST_PORT + offset) for offset in sorted(offsets))
        write_settings(ip_local_reserved_ports=ports or "\n")

    # Comparisons.

    def compare(self, number: int) -> str:
        """Return the first disagreement between predictions and the kernel, or ""."""
        wait_until(_is_still, "no connection is about to change by itself")
        trials = [
            self._compare_connect(SOURCES[number % 3], number % 2),
            self._compare_connect(("::1", SOURCES[0])[number % 2], number // 2 % 2),
            self._compare_bind0(PLACES[number % 6]),
        ]
        for trial in trials:
            self.comparisons += 1
            if trial.surprise or (self.exact and self._inexact(trial)):
                return trial.surprise or f"{trial.what}: {trial.probed} is in doubt"
        return ""

    @staticmethod
    def _inexact(trial: Trial) -> bool:
        """Say whether the probe left doubt."""
        return trial.probed is not None and trial.probed[0] != trial.probed[1]

    def _compare_connect(self, source: str, server: int) -> Trial:
        """Predict, connect until refused, and leave nothing behind."""
        remote = ("::1" if ":" in source else "127.0.0.1", SERVER_PORTS[server])
        free = span(self._predict(remote, from_address=source))
        probed = span(self._predict(remote, from_address=source, probe=True))
        real = take(lambda: connected(remote, bind=(source, 0), noport=True))
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        children = accept_all(self._servers[family, remote[1]], real.count)
        reset(real.sockets)
        for child in children:
            _read_end(child)
            child.close()
        return Trial(f"connect {source} -> {remote}", free, probed, _told(real))

    def _compare_bind0(self, place: str) -> Trial:
        """Predict, bind to any port until refused, and leave nothing behind."""
        free = span(self._predict(None, from_address=place, operation="bind0"))
        real = take(lambda: tcp((place, 0)))
        for made in real.sockets:
            made.close()
        return Trial(f"bind0 {place}", free, None, _told(real))

    def _predict(self, remote: Address | None, **asked: Any) -> Key:
        """Predict without asking the kernel each time what it can do."""
        return predict(remote, features=self._features, **asked)

    # Bookkeeping.

    def _hold_pair(self, made: socket.socket, server: socket.socket) -> None:
        """Hold a connection together with its accepted end."""
        (child,) = accept_all(server, 1)
        self.held.append(Held(made, child))

    def _pick(self, number: int) -> Held | None:
        """Return one of the sockets that are held."""
        return self.held[number % len(self.held)] if self.held else None

    def _pop(self, number: int) -> Held | None:
        """Return one of the sockets that are held, and hold it no longer."""
        return self.held.pop(number % len(self.held)) if self.held else None

    def _reachable(self, server: socket.socket) -> tuple[str, int]:
        """Return an address at which a listener can be reached."""
        address = server.getsockname()[0]
        wildcard = {"0.0.0.0": "127.0.0.1", "::": "::1"}
        return wildcard.get(address, address), local_port(server)


def _told(real: Filled) -> Filled:
    """Return the outcome without the sockets."""
    return Filled(real.ports, real.refusal, [])


def _read_end(end: socket.socket) -> None:
    """Wait until the other end's FIN or RST has come in."""
    end.settimeout(10)
    with contextlib.suppress(ConnectionError):
        end.recv(1)


def _is_still() -> bool:
    """Say whether nothing is under way: no FIN_WAIT1, LAST_ACK, CLOSING, SYN_RECV."""
    return not any(map(in_state, (4, 9, 11, 3)))


def _state(local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """Return the state of the IPv4 or IPv6 connection between two ports."""
    ports = f"{local[1]:04X}", f"{remote[1]:04X}"
    addresses = _hexadecimal(local[0]), _hexadecimal(remote[0])
    for name in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = row.split()
            ends = [end.partition(":") for end in fields[1:3]]
            if tuple(end[2] for end in ends) == ports and all(
                end[0].endswith(address) for end, address in zip(ends, addresses, strict=True)
            ):
                return int(fields[3], 16)
    return None


def _hexadecimal(address: str) -> str:
    """Return the end of an address as /proc/net writes it."""
    if "." in address:
        packed = socket.inet_aton(address.rpartition(":")[2])
        return packed[::-1].hex().upper()
    return socket.inet_pton(socket.AF_INET6, address)[12:][::-1].hex().upper()
