"""Netlink datagrams: where they end, what they refuse, and what is no reply."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import KernelDataError
from portroom.kernel.netlink import (
    CLOSING_BYTES,
    DATAGRAM_BYTES,
    DONE,
    ERROR,
    HEADER,
    check_datagram,
    closing_start,
    raise_refusal,
    split,
)

SEQUENCE = 0x9E3779B1


def message(kind, payload=b"", sequence=SEQUENCE):
    """Return one netlink message."""
    return HEADER.pack(HEADER.size + len(payload), kind, 2, sequence, 4242) + payload


def done(number=0, **changes):
    """Return NLMSG_DONE with a number."""
    return message(DONE, struct.pack("=i", number), **changes)


ROW = message(20, bytes(72))


@pytest.mark.parametrize(
    ("datagram", "start"),
    [
        (ROW, None),
        (ROW + ROW, None),
        (done(), 0),
        (message(ERROR, struct.pack("=i", -2)), 0),
        (ROW + done(), len(ROW)),
        (ROW + done(-2), len(ROW)),
        (ROW + done(sequence=SEQUENCE + 2), None),
        (ROW + message(DONE, bytes(8)), None),
        (message(20, struct.pack("=IHHI", 20, DONE, 2, SEQUENCE - 2) + bytes(8)), None),
    ],
    ids=["row", "rows", "done", "error", "end", "refused end", "foreign", "long", "in a row"],
)
def test_where_a_reply_ends(datagram, start):
    """DONE has a datagram of its own or stands last; bytes inside a row are none."""
    assert start == closing_start(memoryview(datagram))


@given(some.binary(min_size=16, max_size=200))
def test_any_bytes_have_an_end_or_none(content):
    """Whatever a datagram holds, the closing message lies inside of it."""
    start = closing_start(memoryview(content))

    assert start is None or start == 0 or start == len(content) - CLOSING_BYTES


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EPERM, errno.EINVAL, 4095])
def test_a_negative_number_is_an_errno(number):
    """DONE with -ENOENT is a refusal, not an empty answer."""
    with pytest.raises(OSError, match="netlink: ") as raised:
        raise_refusal(memoryview(done(-number)))

    assert number == raised.value.errno


@pytest.mark.parametrize("number", [0, 1])
def test_other_numbers_are_no_refusal(number):
    """0 means done; some dumps close with a count."""
    raise_refusal(memoryview(done(number)))


@pytest.mark.parametrize("length", [16, 17, 19])
def test_a_closing_message_without_its_number_is_refused(length):
    """Half a number is not read as none."""
    with pytest.raises(KernelDataError, match="expected a number"):
        raise_refusal(memoryview(done()[:length]))


def test_a_reply_is_taken():
    """Its sequence is that of the request, and all of it arrived."""
    check_datagram(ROW[:20], len(ROW), SEQUENCE)
    check_datagram(ROW[:20], DATAGRAM_BYTES, SEQUENCE)


def test_a_cut_datagram_is_refused():
    """The kernel tells the whole length, though the buffer is smaller."""
    with pytest.raises(KernelDataError, match="a datagram of 65537 bytes was cut"):
        check_datagram(ROW[:20], DATAGRAM_BYTES + 1, SEQUENCE)


@pytest.mark.parametrize("start", [b"", ROW[:15], done(sequence=7), bytes(20)])
def test_what_is_no_reply_is_refused_and_quoted(start):
    """Too short, or of another sequence."""
    with pytest.raises(KernelDataError, match=f"expected a reply to {SEQUENCE}, got "):
        check_datagram(start, len(start), SEQUENCE)


def test_a_datagram_is_split_into_its_messages():
    """
    Each begins at the next multiple of four bytes.
    """
    first, second = message(16, bytes(3)), message(16, b"four")
    datagram = memoryview(first + b"\0" + second)

    assert [first, second] == [bytes(one) for one in split(datagram)]


@pytest.mark.parametrize("length", [0, 15, 21])
def test_a_length_that_cannot_be_is_an_error(length):
    """
    A message has at least a header and does not go beyond the datagram.
    """
    with pytest.raises(KernelDataError, match="expected a message of 16 to 20 bytes"):
        list(split(memoryview(struct.pack("=I16x", length))))
