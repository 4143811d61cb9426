"""bind() to a named port beside automatic connections.

Cases c36, c37, c54. A named port is no choice of the kernel's, so whether it
can be had is not predicted; what becomes of the automatic connects is.
"""

from __future__ import annotations

from tests.kernel.predict import predict, span, surprises, try_connect
from tests.kernel.sockets import attempt, connected, fill, tcp

FULL = "EADDRNOTAVAIL"
IN_USE = "EADDRINUSE"
FIRST = ("127.0.0.1", 9000)
SECOND = ("127.0.0.1", 9001)


def test_c36_a_connections_port_can_be_named_on_another_address(ten_ports):
    """bind() is refused on the connection's address and on the wildcard only."""

    def tried(address, port, **options):
        def bind_and_close():
            tcp((address, port), **options).close()

        return attempt(bind_and_close)

    def job():
        (port,) = fill(FIRST, at_most=1).ports
        return {
            "plain": tried("127.0.0.1", port),
            "reuse address": tried("127.0.0.1", port, reuse_address=True),
            "reuse port": tried("127.0.0.1", port, reuse_port=True),
            "other address": tried("127.0.0.2", port),
            "wildcard": tried("0.0.0.0", port),
        }

    answers = ten_ports(job)

    assert {
        "plain": IN_USE,
        "reuse address": IN_USE,
        "reuse port": IN_USE,
        "other address": "ok",
        "wildcard": IN_USE,
    } == answers


def test_c37_a_named_port_shared_by_reuse_address_goes_by_4_tuple(ten_ports):
    """
    Where both have SO_REUSEADDR bind() succeeds and connect() decides.

    The port is then out for every automatic connect.
    """

    def job():
        (port,) = fill(FIRST, at_most=1, reuse_address=True).ports
        same = tcp(("127.0.0.1", port), reuse_address=True)
        to_same = attempt(lambda: same.connect(FIRST))
        other = tcp(("127.0.0.1", port), reuse_address=True)
        to_other = attempt(lambda: other.connect(SECOND))
        return to_same, to_other, [try_connect(FIRST), try_connect(("127.0.0.2", 9000))]

    to_same, to_other, trials = ten_ports(job)

    assert (FULL, "ok") == (to_same, to_other)
    assert [9, 9] == [trial.real.count for trial in trials]
    assert [] == surprises(trials)


def test_c54_a_named_port_is_not_shared_without_reuse_address(ten_ports):
    """A second bind() to the port fails, whatever its remote would be."""

    def job():
        connected(FIRST, bind=("127.0.0.1", 40000))
        refused = attempt(lambda: tcp(("127.0.0.1", 40000)))
        return refused, span(predict(SECOND)), [try_connect(SECOND)]

    refused, predicted, trials = ten_ports(job)

    assert IN_USE == refused
    assert (9, 9) == predicted
    assert 9 == trials[0].real.count
    assert [] == surprises(trials)
