"""What systemd and its like are told, and what they hand over: state, watchdog, sockets.

No library: the protocols are a datagram of lines and three environment variables.

Source: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

from portroom.errors import InvalidRequestError
from portroom.render.units import printable

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START: what is handed over follows stdin, stdout and stderr."""

MOST_DESCRIPTORS = 64


class Manager:
    """
    The service manager, if one wants to be told.

    Nothing here ever waits or fails: a daemon that nobody supervises runs as well.

    Args:
        environment: Names the socket of the manager; without it all is said to nobody.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = address(environment.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        if self._address:
            with contextlib.suppress(OSError):
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)

    def ready(self, status: str) -> None:
        """Tell that requests are answered, from the first time on and after a reload."""
        self._tell("READY=1", f"STATUS={one_line(status)}")

    def reloading(self) -> None:
        """Tell that the configuration is read anew; ``ready`` tells the end of it."""
        # In microseconds of CLOCK_MONOTONIC, which Type=notify-reload wants to know.
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, status: str) -> None:
        """Tell in a sentence how it goes."""
        self._tell(f"STATUS={one_line(status)}")

    def stopping(self) -> None:
        """Tell that the daemon ends."""
        self._tell("STOPPING=1", "STATUS=Ends.")

    def alive(self) -> None:
        """Let the watchdog know that all goes on."""
        self._tell("WATCHDOG=1")

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, *lines: str) -> None:
        """Send lines, if somebody is there who takes them at once."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto("\n".join(lines).encode(), self._address)


def address(name: str) -> str:
    r"""
    Return the address of a unix socket of this name, "" for none.

    >>> address("/run/systemd/notify"), address("@abc"), address("vsock:2:1")
    ('/run/systemd/notify', '\x00abc', '')
    """
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else ""


def one_line(text: str) -> str:
    r"""
    Return a status so that it is one line and nothing in it acts.

    >>> one_line("a\nREADY=1")
    'a\\x0aREADY=1'
    """
    return printable(text)[:1000]


def watchdog_s(environment: Mapping[str, str], pid: int) -> float | None:
    """
    Return within how many seconds the manager wants a sign of life, None if it does not.

    >>> watchdog_s({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 7)
    30.0
    >>> watchdog_s({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 8)
    >>> watchdog_s({"WATCHDOG_USEC": "often"}, 8)
    """
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdecimal() and int(text) else None


def handed_over(environment: Mapping[str, str], pid: int) -> tuple[socket.socket, ...]:
    """
    Return the listening sockets that were handed over, none if none were.

    Args:
        environment: Says how many, and to which process.
        pid: This process.

    Raises:
        InvalidRequestError: One of them is no socket that listens for streams.
    """
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(pid) or not count.isdecimal():
        return ()
    last = FIRST_DESCRIPTOR + min(int(count), MOST_DESCRIPTORS)
    return tuple(_listening(number) for number in range(FIRST_DESCRIPTOR, last))


def _listening(number: int) -> socket.socket:
    """Return a descriptor as the listening socket that it has to be."""
    try:
        os.set_inheritable(number, False)
        one = socket.socket(fileno=number)
        one.setblocking(False)
        is_stream = one.type == socket.SOCK_STREAM and one.family in FAMILIES
        if is_stream and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return one
        one.detach()
    except OSError:
        pass
    raise InvalidRequestError(
        f"Descriptor {number} was handed over and is no socket that listens for streams.",
        "The socket unit needs ListenStream= with an address and a port, and Accept=no.",
    )


FAMILIES = frozenset({socket.AF_INET, socket.AF_INET6, socket.AF_UNIX})
