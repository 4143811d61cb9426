"""Fill a network namespace with a known number of sockets.

Three kinds, each at about 15 to 30 microseconds a socket:

- **established**: ``connect()`` in TCP_REPAIR mode goes straight to ESTABLISHED
  without a peer and without a packet. The kernel chooses the local port as for
  any other connect.
- **inbound**: real connections over loopback, accepted from one listener. The
  client end is then closed in repair mode, which tells the peer nothing, so only
  the accepted socket stays.
- **time_wait**: real connections over loopback that the client closes first.
  They live 60 seconds, so they are made last.
"""

import math
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, NoReturn

from bench import namespace, workers
from bench.errors import BenchError

TCP_REPAIR = 19
IP_LOCAL_PORT_RANGE = 51
WHOLE_RANGE = struct.pack("=I", 32768 | 60999 << 16)
"""With a range of its own a socket searches odd and even ports in one pass."""

REMOTE_PORT = 443
SERVER_PORT = 40_000
"""Inside the range: a port outside of it would never be asked for."""

FIRST_CLIENT_PORT = 20_000


class Population(NamedTuple):
    """
    How many sockets of which kind stand in one namespace.

    Args:
        name: What ``--only`` calls it.
        title: What the table calls it.
        established: Outgoing sockets without a peer.
        time_wait: Sockets in TIME_WAIT, spread like the established ones.
        inbound: Accepted sockets of one listener.
        destinations: Remote endpoints of the outgoing ones.
    """

    name: str
    title: str
    established: int = 0
    time_wait: int = 0
    inbound: int = 0
    destinations: int = 50

    @property
    def sockets(self) -> int:
        """Return how many sockets a tool should count, the listener included."""
        listeners = 1 if self.inbound else 0
        return self.established + self.time_wait + self.inbound + listeners


TIME_WAIT_S = 60.0


@contextmanager
def populated(population: Population) -> Iterator[float]:
    """
    Be inside a new namespace that holds *population*; remove all at the end.

    Yields:
        The moment, by ``time.monotonic()``, from which on sockets vanish.

    Raises:
        BenchError: The population could not be built.
        OSError: This user may not make namespaces.
    """
    control_reader, control_writer = os.pipe()
    report_reader, report_writer = os.pipe()
    parent = os.getpid()
    keeper = os.fork()
    if keeper == 0:
        os.close(control_writer)
        os.close(report_reader)
        _keep(population, control_reader, report_writer, parent)
    os.close(control_reader)
    os.close(report_writer)
    try:
        lives_until = _await_built(report_reader)
        with namespace.inside(keeper):
            yield lives_until
    finally:
        os.close(report_reader)
        os.close(control_writer)
        os.waitpid(keeper, 0)


def _await_built(report: int) -> float:
    """Wait for the keeper's report, ``ready`` and a moment, or else a reason."""
    told = os.read(report, 65536).decode()
    word, _, moment = told.partition(" ")
    if word != "ready":
        raise BenchError(told or "the process that builds the population ended")
    return float(moment)


def _keep(population: Population, control: int, report: int, parent: int) -> NoReturn:
    """Build *population*, report, and hold it until *control* is closed."""
    crew: list[workers.Worker] = []
    try:
        namespace.die_with_parent(parent)
        workers.ignore_interrupts()
        namespace.unshare()
        os.write(report, f"ready {_build(population, crew)}".encode())
        os.read(control, 1)
    except (BenchError, OSError) as error:
        os.write(report, f"{population.name}: {error}".encode())
    finally:
        workers.stop(crew)
        os._exit(0)


def _build(population: Population, crew: list[workers.Worker]) -> float:
    """Make *population* by workers added to *crew*; return until when it lives."""
    namespace.write_setting("net.ipv4.tcp_max_tw_buckets", 2_000_000)
    spread = population.destinations
    crew.extend(
        workers.start(partial(establish, share, spread))
        for share in workers.shares(population.established)
    )
    if population.inbound:
        listener = listen("0.0.0.0", SERVER_PORT)
        crew.extend(
            workers.start(partial(accept, listener, number, share))
            for number, share in enumerate(workers.shares(population.inbound))
        )
    workers.await_ready(crew)
    first_at = time.monotonic()
    leaving = [
        workers.start(partial(leave_time_wait, share, half, population))
        for half, share in enumerate(workers.shares(population.time_wait, 1 << 30))
    ]
    crew += leaving
    workers.await_ready(leaving)
    return first_at + TIME_WAIT_S if leaving else math.inf


def destination(number: int) -> tuple[str, int]:
    """
    Return the remote endpoint number *number*.

    >>> destination(300)
    ('10.1.1.44', 443)
    """
    return f"10.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", REMOTE_PORT


def establish(share: range, destinations: int) -> list[int]:
    """Return descriptors of outgoing sockets, one for each number of *share*."""
    held = []
    for number in share:
        outgoing = socket.socket()
        outgoing.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        outgoing.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, WHOLE_RANGE)
        outgoing.connect(destination(number % destinations))
        held.append(outgoing.detach())
    return held


def listen(address: str, port: int) -> socket.socket:
    """Return a listener on that address and port."""
    listener = socket.socket()
    listener.bind((address, port))
    listener.listen(4096)
    return listener


def accept(listener: socket.socket, number: int, share: range) -> list[int]:
    """
    Return descriptors of accepted sockets, as many as *share* is long.

    Args:
        listener: One for all workers: which of them accepts is all the same.
        number: Gives this worker a client address of its own.
        share: How many clients connect.
    """
    held = []
    client_address = f"10.200.0.{1 + number}"
    for port in range(FIRST_CLIENT_PORT, FIRST_CLIENT_PORT + len(share)):
        client = socket.socket()
        client.bind((client_address, port))
        client.connect((namespace.HOST_ADDRESS, SERVER_PORT))
        held.append(listener.accept()[0].detach())
        client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        client.close()
    return held


def leave_time_wait(share: range, half: int, population: Population) -> None:
    """
    Leave sockets in TIME_WAIT, as many as *share* is long.

    Args:
        share: How many connections are made and closed.
        half: 0 or 1: this worker's destinations are the even or the odd ones,
            so that each closes the client end of its own connections first.
        population: Names the number of destinations.
    """
    own = [destination(number) for number in range(half, population.destinations, 2)]
    listeners = [listen(*endpoint) for endpoint in own]
    for number in range(len(share)):
        place = number % len(own)
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, WHOLE_RANGE)
        client.connect(own[place])
        accepted = listeners[place].accept()[0]
        client.close()
        accepted.close()
