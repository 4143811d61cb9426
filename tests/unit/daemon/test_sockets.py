"""Addresses in words become sockets that listen there, or one sentence says why not."""

import contextlib
import os
import socket

import pytest

from portroom.daemon.sockets import bound, is_loopback, parse_listen, places
from portroom.errors import InvalidRequestError, NotPermittedError, UnavailableError
from portroom.model.facts.config import Serve
from tests.kernel import harness
from tests.kernel.harness import in_namespace


@contextlib.contextmanager
def listening(*wanted):
    """Listen for the length of a ``with`` block."""
    sockets = bound(wanted)
    try:
        yield sockets
    finally:
        for one in sockets:
            one.close()


@pytest.mark.parametrize(
    "text",
    ["", "9765", "localhost:9765", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
     "::1:9765", "[127.0.0.1]:1", "[::1]", "127.0.0.1:9\n", "127.0.0.1:٣", "[::1]:1\x1b", ":1"],
)  # fmt: skip
def test_what_is_no_address_with_a_port_is_refused(text):
    """The message quotes it and shows how one is written."""
    with pytest.raises(InvalidRequestError, match=r"127\.0\.0\.1:9765") as error:
        parse_listen(text)

    assert repr(text) in str(error.value)


def test_each_address_is_listened_on_once():
    """Port 0 is a free one, which ``places`` tells."""
    with listening("127.0.0.1:0", "127.0.0.1:0") as sockets:
        (place,) = places(sockets)
        with socket.create_connection(("127.0.0.1", parse_listen(place).port), timeout=5):
            assert is_loopback(place)


def test_a_port_that_is_in_use_is_told_in_a_sentence():
    """The first of them is given back, and the message says how to find who has it."""
    with (
        listening("127.0.0.1:0") as taken,
        pytest.raises(UnavailableError, match=r"another program does\. `portroom sessions"),
    ):
        bound(("127.0.0.2:0", *places(taken)))


def test_an_address_that_is_not_here_is_told():
    """It may come later, so it is no wrong usage."""
    with pytest.raises(UnavailableError, match="does not have the address"):
        bound(("192.0.2.1:0",))


def test_nothing_to_listen_on_is_refused():
    """An empty list is a mistake, not a wish."""
    with pytest.raises(InvalidRequestError, match="empty"):
        bound(())


@pytest.mark.skipif(bool(harness.refusal()), reason="no private network namespace")
def test_a_host_without_ipv6_listens_by_default_on_the_other_address():
    """Who asks for ::1 by name is told that it is not there."""

    def job():
        """Take ::1 away and listen."""
        harness.ip("-6 address del ::1/128 dev lo")
        sockets = bound(Serve().listen)
        told = places(sockets)
        with pytest.raises(UnavailableError, match=r"\[::1\]:9766: this host"):
            bound(("127.0.0.1:9766", "[::1]:9766"))
        return told

    assert ("127.0.0.1:9765",) == in_namespace(job)


@pytest.mark.skipif(bool(harness.refusal()), reason="no private network namespace")
def test_both_families_share_a_port():
    """[::] does not take 0.0.0.0 along."""

    def job():
        """Listen on both."""
        return places(bound(("0.0.0.0:9765", "[::]:9765")))

    assert ("0.0.0.0:9765", "[::]:9765") == in_namespace(job)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_port_that_takes_a_right_names_it():
    """A daemon without capabilities cannot have port 80."""

    def job():
        """Be nobody, and listen."""
        os.setuid(65534)
        with pytest.raises(NotPermittedError) as error:
            bound(("127.0.0.1:80",))
        return str(error.value)

    told = in_namespace(job, ip_unprivileged_port_start=1024)

    assert "Cannot listen on 127.0.0.1:80: Permission denied." in told
    assert "CAP_NET_BIND_SERVICE" in told
