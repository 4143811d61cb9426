"""Counts are given to whoever may connect, and nobody can hold that up."""

import contextlib
import os
import socket
import stat
from pathlib import Path

import pytest

from portroom.errors import InvalidRequestError
from portroom.trace import publish
from portroom.trace.publish import CLIENTS, Published
from tests.kernel.harness import wait_until

DOCUMENT = b'{"failures_total": 3}\n'
LARGE = b"x" * (4 << 20)


@pytest.fixture
def path(tmp_path):
    """Return where the socket is to lie."""
    return str(tmp_path / "counts.sock")


@pytest.fixture
def client(path):
    """
    Return a function that connects to the socket; all are closed at the end.
    """
    with contextlib.ExitStack() as opened:

        def connect():
            made = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            made.settimeout(5)
            made.connect(path)
            return made

        yield connect


def read(connection):
    """Return all that comes until the end."""
    chunks = []
    while chunk := connection.recv(1 << 16):
        chunks.append(chunk)
    return b"".join(chunks)


def test_each_client_gets_one_document_and_the_end(path, client):
    """However many ask at a time."""
    with Published(path) as served:
        clients = [client() for _ in range(3)]
        assert served.is_asked()
        served.answer(DOCUMENT)

        assert [DOCUMENT] * 3 == list(map(read, clients))
        assert not served.is_asked()


def test_it_is_of_the_owner_and_the_group(path):
    """From its first moment on, whatever the mask of the process; it leaves that alone."""
    before = os.umask(0)
    try:
        with Published(path):
            mode = Path(path).stat().st_mode

            assert 0 == os.umask(0)
    finally:
        os.umask(before)

    assert (True, 0o660) == (stat.S_ISSOCK(mode), stat.S_IMODE(mode))


def test_it_is_removed_at_the_end(path):
    """Unless it is another one's by then."""
    with Published(path):
        pass
    assert not os.path.lexists(path)

    with Published(path):
        Path(path).unlink()
        Path(path).write_text("another's")
    assert Path(path).is_file()


def test_what_a_crash_left_is_replaced(path):
    """A socket file that nobody serves; one that is served is left alone."""
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stale.bind(path)
    stale.close()
    with Published(path), pytest.raises(InvalidRequestError, match="serves there already"):
        Published(path)


def test_a_socket_that_is_bound_alone_is_left(path):
    """Whoever bound it may listen in a moment; a second one is told so."""
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
        with pytest.raises(InvalidRequestError, match="somebody serves there already"):
            Published(path)

        assert Path(path).exists()


def test_no_path_is_refused():
    """The kernel would choose a name that all may connect to."""
    with pytest.raises(InvalidRequestError, match="no path"):
        Published("")


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_never_removed(path, kind, tmp_path):
    """Somebody mistyped: the file stays."""
    if kind == "file":
        (tmp_path / "counts.sock").write_text("mine")
    elif kind == "folder":
        Path(path).mkdir()
    else:
        Path(path).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InvalidRequestError, match="no socket"):
        Published(path)

    assert os.path.lexists(path)


@pytest.mark.parametrize("name", ["missing/counts.sock", "x" * 200])
def test_a_path_that_cannot_be(tmp_path, name):
    """Its folder does not exist, or it is too long for a socket."""
    with pytest.raises(InvalidRequestError, match="no socket can be made"):
        Published(str(tmp_path / name))


def test_a_slow_client_holds_up_nobody(path, client):
    """It gets the rest when it reads on; others are served meanwhile."""
    with Published(path) as served:
        slow = client()
        assert served.is_asked()
        served.answer(LARGE)
        quick = client()
        assert served.is_asked()
        served.answer(DOCUMENT)

        assert DOCUMENT == read(quick)
        received = slow.recv(1 << 22)
        while len(received) < len(LARGE):
            served.is_asked()
            received += slow.recv(1 << 22)
        assert LARGE == received


def test_a_client_that_reads_nothing_is_left(path, client, monkeypatch):
    """After a while: it may not hold a place for ever, nor may one that went away."""
    monkeypatch.setattr(publish, "PATIENCE_S", 0.05)
    with Published(path) as served:
        for _ in range(CLIENTS):
            client()
        gone = client()
        assert served.is_asked()
        served.answer(LARGE)
        gone.close()
        waiting = client()
        wait_until(served.is_asked, "a place is free")
        served.answer(DOCUMENT)

        assert DOCUMENT == read(waiting)
