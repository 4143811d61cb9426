"""
The host that the examples of the documentation look at, made on the spot.

A web server that talks too often to its database: namespaces of network, processes,
mounts and host name of its own, real programs, real connections over a veth pair.

    python -m tests.docs.demo 'portroom' 'portroom settings range'

prints what each command prints there; a first word ``containers`` or ``nobody`` takes
another host. Rules of this file:

- nothing outlives it: the first process of its process namespace ends all others;
- /run is its own, so ``ip netns`` leaves no name behind;
- /etc is its own too, and no sysctl file of the machine is left in it;
- so is /var/lib, so that changes have a journal that nobody else sees;
- the first process calls itself systemd, so that it is what boots this host;
- what the examples show is settled before the first command runs, but for the clock.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from portroom.model.laws.rates import YOUNG_S
from portroom.model.laws.time_wait import TIME_WAIT_MS
from tests.docs.own_etc import (
    keep_the_range_twice,
    mount_empty,
    no_sysctl_files,
    own_state_folder,
)

ROOT = Path(__file__).parents[2]

HOST = "web-1"
FOLDER = "/run/demo"
"""Where commands run: empty at first, gone afterwards."""

HERE = "10.0.0.10"
DATABASE = ("10.0.0.20", 5432)
CACHE = ("10.0.0.30", 6379)
PAYMENTS = ("192.0.2.80", 443)
CLIENT = "203.0.113.7"
BROKER = ("0.0.0.0", 25672)

PR_SET_NAME = 15
IP_LOCAL_PORT_RANGE = 51
WHOLE_RANGE = struct.pack("=I", 32768 | 60999 << 16)
CLONE_NEWNET = 0x40000000

FULL = 28_232
"""60999 - 32768 + 1: what fits to one destination."""

FIN_WAITS = frozenset({"04", "05"})
"""As /proc/net/tcp spells them."""

TIME_WAIT = " 06 "
"""As it stands in a row of /proc/net/tcp."""

LIBC = ctypes.CDLL(None, use_errno=True)

UNSHARE = (
    "unshare",
    "--net",
    "--uts",
    "--mount",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
)


Page = Sequence[str]
"""The shell commands of one page, in order."""


def refusal() -> str:
    """Return why no such host can be made here, or ""."""
    try:
        found = subprocess.run([*unshare(), "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return found.stderr.strip() or f"exit status {found.returncode}" if found.returncode else ""


def tracing_refusal() -> str:
    """Return why nothing can be traced in such a host here, or ""."""
    words = "mount -t tracefs tracefs /run && test -w /run/instances"
    call = [*unshare(), "sh", "-c", words]
    found = subprocess.run(call, capture_output=True, text=True, check=False)
    return found.stderr.strip() or "it is read-only" if found.returncode else ""


def unshare() -> list[str]:
    """Return the command line that runs another in namespaces of its own."""
    return [*UNSHARE] if os.geteuid() == 0 else [*UNSHARE, "--user", "--map-root-user"]


def run(pages: Sequence[Page], *, crowd: str = "web", deadline_s: float = 120.0) -> list[list[str]]:
    """
    Return what each command printed on the host, page by page.

    Args:
        pages: Of each page its commands, for a shell and a folder of its own.
        crowd: One of CROWDS: who is there.
        deadline_s: Seconds after which the host is given up.
    """
    call = [*unshare(), sys.executable, "-m", "tests.docs.demo", "--inside", crowd]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
        "COLUMNS": "100",
        "LANG": "C.UTF-8",
    }
    done = subprocess.run(
        call,
        input=json.dumps(list(pages)),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
        timeout=deadline_s,
    )
    if done.returncode:
        raise RuntimeError(f"the host could not be made:\n{done.stderr}")
    printed: list[list[str]] = json.loads(done.stdout)
    return printed


def inside(crowd: str) -> None:
    """Make the host, run the commands of standard input, and tell what they printed."""
    pages = json.load(sys.stdin)
    mount_empty("/run")
    no_sysctl_files()
    own_state_folder()
    LIBC.prctl(PR_SET_NAME, b"systemd", 0, 0, 0)
    socket.sethostname(HOST)
    ip("link set lo up")
    CROWDS[crowd]()
    json.dump([printed(commands, number) for number, commands in enumerate(pages)], sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # the kernel ends whoever is left


def printed(commands: Page, number: int) -> list[str]:
    """Return what each command printed, standard error included, in one shell."""
    folder = Path(f"{FOLDER}/{number}")
    folder.mkdir(parents=True)
    shell = subprocess.Popen(
        ["sh"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    return [one(shell, command) for command in commands]


def one(shell: subprocess.Popen[bytes], command: str, deadline_s: float = 30.0) -> str:
    """Return what one command printed in a running shell."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    # A command of its own group must not read the next command as its input.
    line = f"{command}\n(exit $?)\n" if command.endswith("&") else f"{{ {command}\n}} </dev/null\n"
    shell.stdin.write(line.encode() + b"status=$?; printf '\\000'; (exit $status)\n")
    shell.stdin.flush()
    end, found = time.monotonic() + deadline_s, b""
    while not found.endswith(b"\0"):
        left = end - time.monotonic()
        if left < 0 or not select.select([shell.stdout], [], [], left)[0]:
            raise TimeoutError(f"{command!r} took over {deadline_s} s; it printed {found!r}")
        found += os.read(shell.stdout.fileno(), 1 << 16)
    return found[:-1].decode()


# ----------------------------------------------------------------- who is there


def web() -> None:
    """A web server, its database, its cache, a payment service and some clients."""
    network()
    serving = [program("postgres", serve, address) for address in (DATABASE, CACHE, PAYMENTS)]
    program("sshd", listen, ("0.0.0.0", 22))()
    front = program("nginx", serve, ("0.0.0.0", 443))
    program("dnsmasq", lookups)()
    for ready in (*serving, front):
        ready()
    program("gunicorn", connect, DATABASE, 150)()
    program("celery", connect, CACHE, 64)()
    program("gunicorn", connect, PAYMENTS, 12)()
    program("chrome", connect, (HERE, 443), 40, "database")()
    leave_time_wait(PAYMENTS, 900)
    leave_time_wait(DATABASE, 22_900)
    wait_until_all_ended()


def calm() -> None:
    """The web server some seconds after its busiest, so that no rate is told that soon is over."""
    web()
    wait_until_none_is_young()


def full() -> None:
    """The web server on the evening on which its database has no port left."""
    web()
    leave_time_wait(DATABASE, FULL - 150 - 22_900)
    program("worker", keep_failing, DATABASE)()


def containers() -> None:
    """Three named namespaces, of which the host alone was tuned."""
    setting("ip_local_port_range", "15000 64999")
    for name in ("blue", "green"):
        ip(f"netns add {name}")
        program("api", pairs, 300 if name == "blue" else 12, inside=name)()


def office() -> None:
    """A web server with little to do, beside a message broker in the way of a wider range."""
    network()
    for name, address in (("postgres", DATABASE), ("beam.smp", BROKER)):
        program(name, serve, address)()
    program("sshd", listen, ("0.0.0.0", 22))()
    program("gunicorn", connect, DATABASE, 150)()


def nobody() -> None:
    """A namespace in which nothing runs."""


CROWDS: dict[str, Callable[[], None]] = {
    "web": calm,
    "containers": containers,
    "nobody": nobody,
    "drifted": keep_the_range_twice,
    "mended": keep_the_range_twice,
    "outage": web,
    "boxes": containers,
    "article": nobody,
    "full": full,
    "evening": full,
    "office": office,
}
"""By the name in the examples; those who share one share a host, and what they change there."""

CHANGED = frozenset({"mended", "outage", "boxes", "article", "office", "evening"})
"""Hosts that examples change: each page has one of its own."""

SLOW = frozenset({"web"})
"""Hosts that spend most of their time waiting."""

TRACED = frozenset({"full", "evening"})
"""Hosts in which something is traced, and fails."""


def network() -> None:
    """Join this namespace to one named ``database`` that has all remote addresses."""
    ip("netns add database")
    ip("link add eth0 type veth peer name eth0 netns database")
    ip(f"address add {HERE}/24 dev eth0")
    ip("link set eth0 up")
    ip("route add default via 10.0.0.1")
    for address in (DATABASE[0], CACHE[0], "10.0.0.1"):
        ip(f"-n database address add {address}/24 dev eth0")
    for address in (PAYMENTS[0], CLIENT):
        ip(f"-n database address add {address}/32 dev eth0")
    ip("-n database link set lo up")
    ip("-n database link set eth0 up")


def program(
    name: str, work: Callable[..., object], *arguments: object, inside: str = ""
) -> Callable[[], None]:
    """
    Start a process of some name that does its work and then stays.

    Returns:
        A function that returns once the work is done.
    """
    reading, writing = os.pipe()
    if os.fork() == 0:
        with contextlib.suppress(KeyboardInterrupt):
            LIBC.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)
            if inside:
                enter(inside)
            held = work(*arguments)
            if isinstance(held, Iterator):
                next(held)
            os.write(writing, b"!")
            for _ in held if isinstance(held, Iterator) else ():
                pass
            signal.pause()
        os._exit(0)
    os.close(writing)

    def done() -> None:
        """Wait for the work."""
        if not os.read(reading, 1):
            raise RuntimeError(f"{name} failed")

    return done


def enter(name: str) -> None:
    """Move this process into a named network namespace."""
    handle = os.open(f"/run/netns/{name}", os.O_RDONLY)
    if LIBC.setns(handle, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns {name}")


def listen(address: tuple[str, int]) -> socket.socket:
    """Return a listener; the remote ones are in the other namespace."""
    if address in {DATABASE, CACHE, PAYMENTS}:
        enter("database")
    server = socket.create_server(address, backlog=4096)
    KEPT.append(server)
    return server


KEPT: list[socket.socket] = []


def serve(address: tuple[str, int]) -> Iterator[None]:
    """Accept whoever comes; hang up on those who do."""
    import selectors

    server = listen(address)
    server.setblocking(False)
    yield
    ready = selectors.DefaultSelector()
    ready.register(server, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is server:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        child = server.accept()[0]
                        ready.register(child, selectors.EVENT_READ)
            elif isinstance(key.fileobj, socket.socket) and not key.fileobj.recv(1):
                ready.unregister(key.fileobj)
                key.fileobj.close()


def connect(address: tuple[str, int], count: int, inside: str = "") -> None:
    """Open connections and keep them."""
    if inside:
        enter(inside)
    for _ in range(count):
        made = socket.socket()
        if inside:
            made.bind((CLIENT, 0))
        made.connect(address)
        KEPT.append(made)


def keep_failing(address: tuple[str, int]) -> Iterator[None]:
    """Connect some fifty times a second, and hang up if it worked."""
    pause = threading.Event()
    yield
    while True:
        with contextlib.suppress(OSError):
            hang_up(address)
        pause.wait(0.02)


def pairs(count: int) -> None:
    """Connections within one namespace."""
    ip("link set lo up")
    server = listen(("127.0.0.1", 8080))
    for _ in range(count):
        connect(("127.0.0.1", 8080), 1)
        KEPT.append(server.accept()[0])


def lookups() -> None:
    """A resolver: one listening socket, and three questions on their way."""
    for address in (("127.0.0.53", 53), ("0.0.0.0", 0), ("0.0.0.0", 0), ("0.0.0.0", 0)):
        made = socket.socket(type=socket.SOCK_DGRAM)
        made.bind(address)
        KEPT.append(made)


def leave_time_wait(address: tuple[str, int], count: int) -> None:
    """
    Leave connections in TIME_WAIT: each said nothing and hung up.

    A system short of memory for TCP resets some of them instead; more are made then.
    """
    wanted = time_waits() + count
    for _ in range(count):
        missing = wanted - time_waits()
        if missing <= 0:
            return
        for _ in range(min(missing, 500)):
            hang_up(address)
        settle()
    raise TimeoutError(f"{time_waits()} of {wanted} sockets are in TIME_WAIT")


def hang_up(address: tuple[str, int]) -> None:
    """Connect and close."""
    with socket.socket() as client:
        # The same ports, without the slow search above half of them.
        with contextlib.suppress(OSError):
            client.setsockopt(socket.SOL_IP, IP_LOCAL_PORT_RANGE, WHOLE_RANGE)
        client.connect(address)


def settle(deadline_s: float = 1.0) -> None:
    """Return once no connection is between its end and TIME_WAIT, or at the deadline."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    before = -1
    while before < time_waits() and time.monotonic() < end:
        before = time_waits()
        pause.wait(0.01)


def wait_until_all_ended(deadline_s: float = 10.0) -> None:
    """Return once no connection waits in FIN_WAIT1 or FIN_WAIT2 for its other side."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while ending := sum(row.split()[3] in FIN_WAITS for row in open_sockets()):
        if time.monotonic() > end:
            raise TimeoutError(f"{ending} connections do not end")
        pause.wait(0.05)


def wait_until_none_is_young(deadline_s: float = 20.0) -> None:
    """Return once every TIME_WAIT is older than what counts as just now."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    most = int((TIME_WAIT_MS / 1000 - YOUNG_S) * os.sysconf("SC_CLK_TCK"))
    while any(int(row.split()[5][3:], 16) > most for row in open_sockets() if TIME_WAIT in row):
        if time.monotonic() > end:
            raise TimeoutError("connections go on to end")
        pause.wait(0.25)


def open_sockets() -> list[str]:
    """Return the rows of the kernel's table of TCP sockets, IPv4."""
    return Path("/proc/self/net/tcp").read_text().splitlines()[1:]


def time_waits() -> int:
    """Return the TIME_WAIT entries of this namespace."""
    words = Path("/proc/self/net/sockstat").read_text().split()
    return int(words[words.index("tw") + 1])


def setting(name: str, value: str) -> None:
    """Write a sysctl of this namespace."""
    Path(f"/proc/sys/net/ipv4/{name}").write_text(value)


def ip(command: str) -> None:
    """Run one command of iproute2."""
    subprocess.run(["ip", *command.split()], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2])
    crowd = sys.argv.pop(1) if sys.argv[1:] and sys.argv[1] in CROWDS else "web"
    sys.stdout.write("".join(run([sys.argv[1:] or ["portroom"]], crowd=crowd)[0]))
