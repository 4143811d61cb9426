"""The wire format of sock_diag: requests byte for byte, and hostile replies."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import KernelDataError
from portroom.kernel import sock_diag

HEADER = struct.Struct("=IHHII")


def message(body=b"", attributes=b""):
    """Return one message of a dump."""
    content = body.ljust(72, b"\0") + attributes
    return HEADER.pack(16 + len(content), 20, 2, 0x9E3779B1, 4242) + content


def test_a_request_has_the_kernels_layout():
    """Family, protocol, extensions, states, and no endpoint: 56 bytes."""
    expected = bytes.fromhex("0a060200fff3ffff") + bytes(48)

    assert expected == sock_diag.request(10, 6, 0xFFFFF3FF, extensions=2)


def test_a_filter_travels_as_an_attribute():
    """The program follows the request, padded to four bytes."""
    payload = sock_diag.request(2, 6, 1, filter=b"12345")

    assert struct.pack("=HH", 9, 1) + b"12345\0\0\0" == payload[56:]


def test_a_protocol_over_255_travels_as_an_attribute():
    """MPTCP is 262; the byte for it says 255, which alone would be raw sockets."""
    payload = sock_diag.request(2, 262, 1)

    assert 255 == payload[1]
    assert struct.pack("=HHI", 8, 3, 262) == payload[56:]


def test_the_legacy_request_asks_for_both_families():
    """TCPDIAG_GETSOCK has the states at its end, and no family that matters."""
    payload = sock_diag.legacy_request(0x13, extensions=2, filter=b"1234")

    assert b"\2\0\0\2" + bytes(48) + struct.pack("=II", 0x13, 0) == payload[:60]
    assert struct.pack("=HH", 8, 1) + b"1234" == payload[60:]


ATTRIBUTES = some.dictionaries(
    some.integers(0, sock_diag.TYPE_MASK), some.binary(max_size=40), max_size=6
)


@given(ATTRIBUTES)
def test_attributes_are_read_as_they_were_written(values):
    """attributes(attribute(x)) = x, whatever their lengths."""
    chain = b"".join(sock_diag.attribute(number, value) for number, value in values.items())

    assert values == sock_diag.attributes(message(attributes=chain), 88)


@pytest.mark.parametrize("flag", [0x8000, 0x4000])
def test_flags_of_an_attribute_are_no_part_of_its_number(flag):
    """Netfilter marks what is nested, others what is in network order."""
    nested = sock_diag.attribute(7 | flag, b"1234")

    assert {7: b"1234"} == sock_diag.attributes(nested, 0)


def test_a_list_repeats_its_number():
    """Each element is told, in their order, though all have one number."""
    chain = b"".join(sock_diag.attribute(1, value) for value in (b"b", b"", b"a"))

    assert [(1, b"b"), (1, b""), (1, b"a")] == list(sock_diag.each_attribute(chain, 0))


@given(some.binary(max_size=120))
def test_hostile_attributes_are_read_or_refused(content):
    """Any bytes give values that lie inside of them, or an error in words."""
    try:
        found = sock_diag.attributes(content, 0)
    except KernelDataError:
        return

    assert all(value in content for value in found.values())


@pytest.mark.parametrize("length", [0, 3, 9, 65535])
def test_an_attribute_that_cannot_be_is_refused(length):
    """Shorter than its header, or longer than the message."""
    with pytest.raises(KernelDataError, match=f"got one of {length}"):
        sock_diag.attributes(struct.pack("=HHI", length, 22, 0), 0)


@given(some.lists(some.integers(0, 9).map(lambda words: words * 4), min_size=1, max_size=9))
def test_each_message_of_a_datagram_is_found(lengths):
    """Whatever their lengths, in order and whole."""
    sent = [message(attributes=bytes(length)) for length in lengths]

    assert sent == [bytes(one) for one in sock_diag.messages(memoryview(b"".join(sent)))]


def test_no_bytes_hold_no_message():
    """The body of a dump that found nothing."""
    assert [] == sock_diag.messages(memoryview(b""))


@given(some.binary(max_size=400))
def test_hostile_datagrams_are_read_or_refused(content):
    """Any bytes are a chain of whole messages, or an error in words."""
    try:
        found = sock_diag.messages(memoryview(content))
    except KernelDataError:
        return

    assert len(content) <= sum(len(one) + 3 & ~3 for one in found)


@pytest.mark.parametrize("length", [0, 15, 87, 89, 2**31])
def test_a_message_that_cannot_be_is_refused(length):
    """Too short to be a socket, or longer than the datagram."""
    damaged = struct.pack("=I", length) + message()[4:]

    with pytest.raises(KernelDataError, match=f"got one of {length}"):
        sock_diag.messages(memoryview(damaged))


def test_a_message_that_swallows_another_is_refused():
    """A wrong length that ends where the next message ends is noticed."""
    damaged = struct.pack("=I", 176) + message()[4:] + message()

    with pytest.raises(KernelDataError, match="holds another one"):
        sock_diag.messages(memoryview(damaged))
