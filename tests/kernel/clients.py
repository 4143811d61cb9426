"""Another process that connects, and closes, when it is told to."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator

from tests.kernel.bystanders import named
from tests.kernel.harness import LIBC
from tests.kernel.sockets import Address, close, connected, reset, tcp

PR_SET_PDEATHSIG = 1


class Client:
    """A process with connections; each order is done when its method returns."""

    def __init__(self, pid: int, orders: int, replies: int) -> None:
        self.pid = pid
        self._orders = orders
        self._replies = replies

    def order(self, *words: object) -> bytes:
        """
        Have the process do something, and return its reply.

        Args:
            words: ``connect COUNT``, ``bind PORT`` and connect from it, ``close``,
                or ``reset`` all connections.
        """
        os.write(self._orders, " ".join(map(str, words)).encode())
        reply = os.read(self._replies, 4096)
        assert reply != b"", f"the client failed to {words}"
        return reply

    def end(self) -> None:
        """Have the process end; it is gone when this returns."""
        # It ends when nobody orders any more: killing it may not be allowed.
        os.close(self._orders)
        os.close(self._replies)
        os.waitpid(self.pid, 0)


@contextlib.contextmanager
def client(
    remote: Address, name: bytes = b"shop", *prepare: Callable[[], object]
) -> Iterator[Client]:
    """Be accompanied by a process of that name that connects to *remote*."""
    (orders, order), (replies, reply) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(order)
        try:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            for one in (named(name), *prepare):
                one()
            _obey(remote, orders, reply)
        finally:
            os._exit(1)
    os.close(orders)
    os.close(reply)
    made = Client(pid, order, replies)
    try:
        yield made
    finally:
        made.end()


def _obey(remote: Address, orders: int, reply: int) -> None:
    """Do what is ordered, until nobody is there to order."""
    held: list[socket.socket] = []
    while words := os.read(orders, 4096).split():
        match words:
            case [b"connect", count]:
                held += [connected(remote) for _ in range(int(count))]
            case [b"bind", port]:
                made = tcp(("0.0.0.0", int(port)), reuse_address=True)
                made.connect(remote)
                held.append(made)
            case [b"close"]:
                close(held)
                held.clear()
            case [b"reset"]:
                reset(held)
                held.clear()
        os.write(reply, b" ".join(str(one.getsockname()[1]).encode() for one in held) or b"none")
