"""Prove what is told of a socket by its name, and by the arguments it was made with."""

import os
import socket

import pytest

from portroom.trace.events import CallEnter
from portroom.trace.memory import (
    UNTOLD,
    Told,
    parse_socket_arguments,
    parse_socket_name,
    read_memory,
    read_socket,
)

NAMES = [
    (b"TCP\0", Told(2, "tcp")),
    (b"TCPv6\0", Told(10, "tcp")),
    (b"MPTCPv6\0", Told(10, "tcp")),
    (b"UDP\0", Told(2, "udp")),
    (b"UDPLITEv6\0", Told(10, "udplite")),
    (b"UNIX\0", Told(1)),
    (b"UNIX-STREAM\0", Told(1)),
    (b"AF_VSOCK\0", Told(0)),
    (b"\xff\xfe", Told(0)),
    (b"", UNTOLD),
]


@pytest.mark.parametrize(("name", "told"), NAMES)
def test_a_name_tells_family_and_protocol(name, told):
    """
    A name that is not known is that of another family; no name tells nothing.
    """
    assert told == parse_socket_name(name)


ARGUMENTS = [
    ((socket.AF_INET, socket.SOCK_STREAM, 0), Told(2, "tcp")),
    ((socket.AF_INET6, socket.SOCK_DGRAM, 17), Told(10, "udp")),
    ((socket.AF_INET, socket.SOCK_STREAM, 262), Told(2, "tcp")),
    ((socket.AF_INET, socket.SOCK_RAW, 89), Told(2, "raw")),
    ((socket.AF_INET, socket.SOCK_DGRAM, 99), Told(2)),
    ((socket.AF_UNIX, socket.SOCK_STREAM, 0), Told(1)),
    ((socket.AF_NETLINK, socket.SOCK_RAW, 0), Told(0)),
]


@pytest.mark.parametrize(("arguments", "told"), ARGUMENTS)
def test_arguments_tell_family_and_protocol(arguments, told):
    """
    What socket() was asked for is what it made.
    """
    assert told == parse_socket_arguments(*arguments)


@pytest.fixture
def own():
    """
    Return a descriptor of this process's own folder.
    """
    folder = os.open("/proc/self", os.O_RDONLY | os.O_DIRECTORY)
    yield folder
    os.close(folder)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_names_and_arguments_agree(own, family):
    """
    The kernel's name of a real socket tells what its arguments told.
    """
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as made:
            told = read_socket(own, made.fileno())

        assert parse_socket_arguments(family, kind, 0) == told


def test_memory_that_is_not_there_tells_nothing(own):
    """
    Neither a page that is not mapped, nor an address that no program can have.
    """
    for address in (0, 8, (1 << 64) - 8):
        assert UNTOLD == read_memory(own, CallEnter(1, 1, 0, address, 16, "bind"))


def test_a_descriptor_that_is_no_socket_tells_nothing(own):
    """
    A file, and a number that is not open.
    """
    assert [UNTOLD, UNTOLD] == [read_socket(own, own), read_socket(own, 1 << 20)]
