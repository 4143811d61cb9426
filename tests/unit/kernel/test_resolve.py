"""Names become addresses within a deadline, or one clear error."""

import threading

import pytest

from portroom.errors import InvalidRequestError
from portroom.kernel import resolve
from portroom.model.facts.sockets import Endpoint, Protocol
from portroom.model.laws.target import Target


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.3.4", ("1.2.3.4",)),
        ("2001:DB8:0:0::1", ("2001:db8::1",)),
        ("::ffff:1.2.3.4", ("1.2.3.4",)),
        ("fe80::1%eth0", ("fe80::1%eth0",)),
    ],
)
def test_an_address_is_its_own_answer_in_canonical_form(text, expected):
    """An address needs no resolver; v4-mapped becomes IPv4; a zone stays."""
    actual = resolve.resolve_host(text, deadline_s=0)

    assert expected == actual


def test_localhost_is_resolved():
    """A host name gives its addresses, each once, with the port of the service."""
    actual = resolve.resolve(Target("localhost", "80"), Protocol.TCP)

    assert Endpoint("127.0.0.1", 80) in actual
    assert len(actual) == len(set(actual))


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a" * 300, "a..b"])
def test_an_unknown_name_says_what_else_it_may_be(name):
    """A name that does not resolve is quoted, with the hint at exhausted UDP ports."""
    with pytest.raises(InvalidRequestError) as refusal:
        resolve.resolve_host(name)

    assert name in str(refusal.value)
    assert "UDP ports may be exhausted" in str(refusal.value)


def test_an_unknown_service_is_refused():
    """A service name that nobody knows is quoted, with the way out."""
    with pytest.raises(InvalidRequestError) as refusal:
        resolve.resolve_port("no-such-service", Protocol.TCP)

    assert "'no-such-service'" in str(refusal.value)
    assert "number" in str(refusal.value)


def test_a_resolver_that_does_not_answer_is_left_behind():
    """At the deadline the question ends with an error, though the look-up goes on."""
    never = threading.Event()

    with pytest.raises(InvalidRequestError, match=r"within 0\.01 s"):
        resolve._within(never.wait, "The host name 'slow'", 0.01)

    never.set()
