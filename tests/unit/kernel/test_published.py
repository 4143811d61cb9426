"""Counts that are published are read whole and in time, or there is a Gap that says why not."""

import os
import socket
import threading
import time
from contextlib import contextmanager

import msgspec
import pytest

from portroom.kernel import published
from portroom.kernel.published import read_published
from portroom.model.facts.gaps import Gap
from portroom.trace.publish import Published
from tests.kernel.harness import wait_until
from tests.unit.made_failures import counts, failure


@pytest.fixture
def path(tmp_path):
    """Return where the socket is to lie."""
    return str(tmp_path / "counts.sock")


@contextmanager
def served(path, document):
    """Give a document to one client, as the trace service does."""
    has_it = threading.Event()
    with Published(path) as socket_of_counts:

        def answer():
            """Wait for the client, give all of it, and go on until it has it."""
            wait_until(socket_of_counts.is_asked, "somebody asks")
            socket_of_counts.answer(document)
            wait_until(lambda: not socket_of_counts.is_asked() and has_it.is_set(), "it has it")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            has_it.set()
            thread.join()


@contextmanager
def listening(path, backlog=8):
    """Have somebody listen at a path who says nothing."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen(backlog)
        yield silent


def test_the_counts_are_those_of_the_service(path):
    """What is published is what is read, to the last field."""
    told = counts((failure(), failure(cause="bind0_pool_full")), lost=2)
    with served(path, msgspec.json.encode(told) + b"\n"):
        assert told == read_published(path, 5)


def test_nobody_serves(path, tmp_path):
    """The usual case: what to do is said, and it is no error."""
    (tmp_path / "file").touch()
    missing, below_a_file = read_published(path), read_published(f"{tmp_path}/file/counts.sock")

    assert Gap("trace", published.OFF, ("failures",)) == missing == below_a_file


def test_the_service_has_ended(path):
    """A crash left the socket: that is another Gap."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)

    assert "has ended" in read_published(path).reason


def test_who_says_nothing_holds_up_nobody(path):
    """The whole of it takes no longer than was said."""
    before_s = time.monotonic()
    with listening(path):
        gap = read_published(path, 0.1)

    assert "the trace service gave no answer within 0.1 s" == gap.reason
    assert time.monotonic() - before_s < 2


def test_who_says_little_at_a_time_holds_up_nobody(path):
    """Each byte is no reason to wait anew."""
    with listening(path) as slow:
        over = threading.Event()

        def drip():
            """Give a byte again and again."""
            connection = slow.accept()[0]
            with connection:
                while not over.wait(0.02):
                    try:
                        connection.send(b" ")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        gap = read_published(path, 0.2)
        over.set()
        thread.join()

    assert "the trace service gave no answer within 0.2 s" == gap.reason


def test_too_many_ask(path):
    """Whoever finds the queue full does not wait in it."""
    with listening(path, 0), socket.socket(socket.AF_UNIX) as first:
        first.connect(path)
        gap = read_published(path, 5)

    assert "too many ask the trace service at once" == gap.reason


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"[]", b'{"failures_total": "many"}', b"\xff\xfe", b"[" * 100_000],
    ids=["nothing", "half", "a list", "other fields", "no text", "deep"],
)
def test_what_is_no_answer_is_not_believed(path, document):
    """Something else serves there."""
    with listening(path) as other:
        thread = threading.Thread(target=_give, args=(other, document))
        thread.start()
        gap = read_published(path, 5)
        thread.join()

    assert f"{path}: what is served there is not believed" in gap.reason


def _give(listener, document):
    """Give a document to one client and close."""
    connection = listener.accept()[0]
    with connection:
        connection.sendall(document)


def test_too_much_is_not_believed(path, monkeypatch):
    """Memory is not for whoever serves to fill."""
    monkeypatch.setattr(published, "LARGEST_BYTES", 1 << 20)
    with served(path, b" " * (2 << 20)):
        gap = read_published(path, 5)

    assert "it has more than 1 MiB" in gap.reason


def test_what_another_user_serves_is_not_believed(path, monkeypatch):
    """Only root and this user are."""
    with listening(path):
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        monkeypatch.setattr(published, "PEER", _Peer)
        gap = read_published(path, 5)

    assert "it belongs to uid 4711" in gap.reason


class _Peer:
    """Credentials of another user."""

    size = 12

    @staticmethod
    def unpack(_):
        """Return pid, uid and gid."""
        return 1, 4711, 4711


@pytest.mark.parametrize("name", ["x" * 200, "a\0b"], ids=["too long", "with a zero"])
def test_a_path_that_cannot_be(tmp_path, name):
    """It is a Gap as any other."""
    assert "trace" == read_published(str(tmp_path / name)).source
