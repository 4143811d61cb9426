"""A private network namespace for a test: run a function there, get its result.

Rules of this file:

- a namespace belongs to one forked child and ends with it: nothing to tidy up;
- the child forks off before anything is changed, so the caller stays where it is;
- what the function returns or raises travels back whole, with its traceback;
- every wait has a deadline.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pickle
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1

DEADLINE_S = 120.0

TABLE_ENTRIES = 4096
"""Buckets of the private socket table; tcp_max_tw_buckets becomes half of it."""

LIBC = ctypes.CDLL(None, use_errno=True)


class NamespaceError(Exception):
    """The child ended without a result, or with one that cannot be told."""


def in_namespace(
    function: Callable[..., Any],
    *arguments: object,
    deadline_s: float = DEADLINE_S,
    **settings: object,
) -> Any:
    """
    Return what *function* returns when run in a namespace of its own.

    Args:
        function: Anything callable; the child is forked, so closures work.
        arguments: Handed to *function*.
        deadline_s: Seconds after which the child is killed.
        settings: Sysctls below ``net.ipv4`` to write first, as text.

    Raises:
        NamespaceError: The child died or did not end in time.
        BaseException: Whatever *function* raised, with the child's traceback
            as a note.

    Example:
        in_namespace(os.getpid, ip_local_port_range="40000 40009")
    """

    def job() -> Any:
        enter_new_namespace()
        write_settings(**settings)
        return function(*arguments)

    return in_child(job, deadline_s=deadline_s)


def in_child(job: Callable[[], Any], *, deadline_s: float = DEADLINE_S) -> Any:
    """Return what *job* returns when run in a forked child; see in_namespace."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # The child runs this one thread only; it never waits for another's lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(reading)
        _run_and_exit(job, writing)
    os.close(writing)
    try:
        reply = _read_all(reading, time.monotonic() + deadline_s)
    finally:
        # A child that is alive still missed its deadline, or left children.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
    if not reply:
        raise NamespaceError(f"the child gave no result within {deadline_s} s")
    return _unpack(reply)


def enter_new_namespace() -> None:
    """
    Move this process into a new network namespace, with lo up.

    Without root the namespace comes with a user namespace that owns it. Where
    the kernel can, the namespace has a small socket table of its own: walking
    the shared one takes as long as the whole system has sockets.

    Raises:
        OSError: The kernel refuses.
    """
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWNET if user == 0 else CLONE_NEWUSER | CLONE_NEWNET)
    if user != 0:
        own_user_namespace(user, group)
    with contextlib.suppress(OSError):
        write_settings(tcp_child_ehash_entries=TABLE_ENTRIES)
        unshare(CLONE_NEWNET)
    set_up("lo")


def own_user_namespace(user: int, group: int) -> None:
    """Be root in the user namespace just made, *user* and *group* outside of it."""
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {user} 1")
    _write("/proc/self/gid_map", f"0 {group} 1")


def refusal() -> str:
    """Return why the kernel refuses a namespace here, or "" if it does not."""
    try:
        in_child(enter_new_namespace)
    except OSError as error:
        return f"unshare: {error.strerror}"
    return ""


def unshare(flags: int) -> None:
    """Give the calling thread new namespaces."""
    if LIBC.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def set_up(device: str) -> None:
    """Bring a network device of the present namespace up."""
    with socket.socket() as handle:
        name = device.encode().ljust(16, b"\0")
        reply = fcntl.ioctl(handle, SIOCGIFFLAGS, name + bytes(24))
        (flags,) = struct.unpack_from("=H", reply, 16)
        fcntl.ioctl(handle, SIOCSIFFLAGS, name + struct.pack("=H22x", flags | IFF_UP))


def write_settings(**settings: object) -> None:
    """Write sysctls below ``net.ipv4``, each by one write."""
    for name, value in settings.items():
        _write(f"/proc/sys/net/ipv4/{name}", str(value))


def read_setting(name: str) -> str | None:
    """Return the text of a sysctl below ``net.ipv4``, None if there is none."""
    try:
        return Path(f"/proc/sys/net/ipv4/{name}").read_text().strip()
    except FileNotFoundError:
        return None


def wait_until(condition: Callable[[], object], what: str, *, deadline_s: float = 10.0) -> None:
    """
    Return as soon as *condition* holds.

    Raises:
        TimeoutError: It did not within *deadline_s* seconds; names *what*.
    """
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {deadline_s} s in vain until {what}")
        pause.wait(0.001)


def wait_for_age(since: float, seconds: float) -> None:
    """Return once *seconds* have passed since the monotonic time *since*."""
    wait_until(
        lambda: time.monotonic() - since > seconds,
        f"{seconds} s are over",
        deadline_s=seconds + 10.0,
    )


def ip(*commands: str) -> bytes:
    """
    Run commands of iproute2 in the present namespace, and return what the last one prints.

    Raises:
        CalledProcessError: One of them failed; what it said is on stderr.
    """
    printed = b""
    for command in commands:
        printed = subprocess.run(
            ["ip", *command.split()], check=True, stdout=subprocess.PIPE
        ).stdout
    return printed


class Neighbour:
    """
    A second namespace, joined to the present one by a veth pair.

    This side is ``near`` with 10.9.0.1, the other ``far`` with 10.9.0.2. A
    socket belongs to the namespace in which it was made, so one thread can
    serve both:

        with neighbour.inside():
            server = listener("10.9.0.2", 9000)
    """

    here = "10.9.0.1"
    there = "10.9.0.2"

    def __init__(self) -> None:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        unshare(CLONE_NEWNET)
        self._away = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        set_up("lo")
        _setns(self._home)
        away = f"/proc/{os.getpid()}/fd/{self._away}"
        ip(f"link add near type veth peer name far netns {away}")
        ip(f"address add {self.here}/24 dev near")
        set_up("near")
        with self.inside():
            ip(f"address add {self.there}/24 dev far")
            set_up("far")

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Be in the other namespace for the length of a ``with`` block."""
        _setns(self._away)
        try:
            yield
        finally:
            _setns(self._home)


def black_hole() -> str:
    """
    Return an address of a neighbour that never answers; SYNs to it get lost.

    The device is called ``near``; IPv6 is off there, so that nothing is sent
    but what the test sends.
    """
    with contextlib.suppress(FileNotFoundError):
        _write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")
    ip("link add near type veth peer name far")
    ip("address add 10.9.0.1/24 dev near")
    set_up("near")
    set_up("far")
    ip("neighbour add 10.9.0.2 lladdr 02:00:00:00:00:02 dev near")
    return "10.9.0.2"


def _run_and_exit(job: Callable[[], Any], writing: int) -> NoReturn:
    """Run *job* in the child, send its result up the pipe, and end."""
    try:
        os.setpgid(0, 0)  # so that one signal ends the child's own children too
        warnings.simplefilter("ignore", ResourceWarning)  # sockets end with the child
        view = memoryview(_reply(job))
        while view:
            view = view[os.write(writing, view) :]
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(0)  # whatever happens, the child never returns to the test


def _reply(job: Callable[[], Any]) -> bytes:
    """Run *job* and return its result or error, packed."""
    try:
        return _pack(("returned", job(), ""))
    except BaseException as error:  # noqa: BLE001 - the parent raises it again
        return _pack(("raised", error, traceback.format_exc()))


def _pack(reply: tuple[str, Any, str]) -> bytes:
    """Pickle a reply, or what is wrong with it."""
    try:
        packed = pickle.dumps(reply)
        pickle.loads(packed)
    except Exception as error:  # noqa: BLE001 - pickle raises what it likes
        trouble = NamespaceError(f"{error}\n{reply[2] or reply[1]!r}")
        return pickle.dumps(("raised", trouble, reply[2]))
    return packed


def _unpack(reply: bytes) -> Any:
    """Return or raise what the child sent."""
    how, what, trace = pickle.loads(reply)
    if how == "raised":
        what.add_note(f"in the namespace:\n{trace}")
        raise what
    return what


def _read_all(reading: int, end: float) -> bytes:
    """Read a pipe until it closes; return b"" if it does not before *end*."""
    chunks = []
    poll = select.poll()  # unlike select() it takes any file descriptor
    poll.register(reading)
    while poll.poll(max(0.0, end - time.monotonic()) * 1000):
        chunk = os.read(reading, 1 << 16)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
    return b""


def _write(path: str, text: str) -> None:
    """Write *text* to a kernel file, by one write."""
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"{path} {text!r}: {error.strerror}") from None
    finally:
        os.close(handle)


def _setns(handle: int) -> None:
    """Move the calling thread into the network namespace of an open file."""
    if LIBC.setns(handle, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
