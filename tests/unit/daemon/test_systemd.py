"""A service manager is told what it asks for, by real sockets, and nothing waits for it."""

import os
import re
import socket
import subprocess
import sys

import pytest

from portroom.daemon.systemd import Manager, handed_over, watchdog_s
from portroom.errors import InvalidRequestError


@pytest.fixture(name="manager", params=["path", "abstract"])
def _manager(request, tmp_path):
    """Return a socket that listens as a manager does, and the environment that names it."""
    path = f"{tmp_path}/notify" if request.param == "path" else f"@portroom-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path.replace("@", "\0"))
        listening.settimeout(5)
        yield listening, {"NOTIFY_SOCKET": path}


def test_each_state_is_a_datagram_of_lines(manager):
    """They are those of sd_notify(3)."""
    listening, environment = manager
    one = Manager(environment)
    one.ready("Samples.\nSTOPPING=1")
    one.reloading()
    one.alive()
    one.stopping()
    told = [listening.recv(4096).decode() for _ in range(4)]
    one.close()
    one.alive()

    assert "READY=1\nSTATUS=Samples.\\x0aSTOPPING=1" == told[0]
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", told[1])
    assert ["WATCHDOG=1", "STOPPING=1\nSTATUS=Ends."] == told[2:]


def test_a_manager_that_takes_nothing_holds_nothing_up(manager):
    """A full queue, and a socket that is gone, are nobody's trouble."""
    listening, environment = manager
    one = Manager(environment)
    for _ in range(5000):
        one.alive()
    listening.close()
    one.alive()
    one.close()


@pytest.mark.parametrize("name", ["", "vsock:2:1", "relative", "/nowhere/at/all", "@" + "x" * 300])
def test_without_a_manager_all_is_said_to_nobody(name):
    """No name, a name of another kind, and one that cannot be are alike."""
    one = Manager({"NOTIFY_SOCKET": name})
    one.ready("Samples.")
    one.close()


@pytest.mark.parametrize("text", ["", "0", "-5", "soon", "²"])
def test_no_watchdog_is_wanted(text):
    """Nothing but a positive number of microseconds is a wish."""
    assert watchdog_s({"WATCHDOG_USEC": text}, 7) is None


OPENED = """
import os, socket, sys
from portroom.daemon.systemd import handed_over
with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as silent:
    os.dup2((listening if sys.argv[1] == "listening" else silent).fileno(), 3)
    found = handed_over({"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}, os.getpid())
    print(found[0].getsockname() == listening.getsockname(), os.get_inheritable(3))
"""


def handed(what):
    """Run a process to which a socket is handed over, and return what it prints and raises."""
    done = subprocess.run(
        [sys.executable, "-c", OPENED, what], capture_output=True, text=True, check=False
    )
    return done.stdout, done.stderr


def test_a_listening_socket_is_taken_over():
    """It is not handed on to whoever is started next."""
    assert ("True False\n", "") == handed("listening")


def test_a_socket_that_does_not_listen_is_refused_in_a_sentence():
    """The unit is wrong then, and the message says how it has to be."""
    _, told = handed("silent")

    assert InvalidRequestError.__name__ in told
    assert "Accept=no" in told


@pytest.mark.parametrize("environment", [{}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}])
def test_sockets_for_another_process_are_left_alone(environment):
    """Variables that were inherited by mistake mean nothing."""
    assert () == handed_over(environment, os.getpid())
