"""A namespace is found again by what holds it, and is the one that was meant, or gone."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import msgspec
import pytest

from portroom.errors import NotPermittedError
from portroom.kernel import namespaces
from portroom.kernel.netns_holders import find_holder
from portroom.model.facts.snapshot import NetnsId
from tests.e2e.faults import MS_BIND, NOBODY, alone, mount, needs_root
from tests.kernel.bystanders import bystander, own_namespace
from tests.kernel.harness import CLONE_NEWNET, in_child, unshare

pytestmark = needs_root


def known(path):
    """Return the identity of the namespace that a file is."""
    ref = namespaces.find(path)
    return namespaces.inside(ref, lambda: namespaces.identify(ref.id))


def by_process():
    """Let a process be in it."""
    with bystander(own_namespace) as pid:
        netns = known(f"/proc/{pid}/ns/net")
        return netns, namespaces.find_again(netns)


def by_name():
    """Let it have a name."""
    subprocess.run(["ip", "netns", "add", "web"], check=True)
    netns = known("/run/netns/web")
    return netns, namespaces.find_again(netns)


def by_mount():
    """Let it be mounted where nobody looks for names."""
    place = Path("/run/a place\nof docker")
    place.touch()
    with bystander(own_namespace) as pid:
        netns = known(f"/proc/{pid}/ns/net")
        mount(f"/proc/{pid}/ns/net", str(place), "", MS_BIND)
    return netns, namespaces.find_again(netns)


def by_descriptor():
    """Let only an open file of another process hold it."""
    with bystander(own_namespace) as pid:
        netns = known(f"/proc/{pid}/ns/net")
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        with bystander():
            return netns, namespaces.find_again(netns)
    finally:
        os.close(descriptor)


def by_thread():
    """Let only a thread be in it that is not the first of its process."""
    entered, end, seen = threading.Event(), threading.Event(), []

    def work():
        """Enter a new one, and stay."""
        unshare(CLONE_NEWNET)
        seen.append(namespaces.identify(NetnsId("thread", None, 0, "process")))
        entered.set()
        end.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait(10)
    try:
        return seen[0], namespaces.find_again(seen[0])
    finally:
        end.set()
        thread.join()


def by_itself():
    """Be in it."""
    netns = namespaces.identify()
    return netns, namespaces.find_again(netns)


@pytest.mark.parametrize(
    ("job", "path"),
    [
        (by_process, "/proc/"),
        (by_name, "/run/netns/web"),
        (by_mount, "/run/a place\nof docker"),
        (by_descriptor, "/proc/"),
        (by_thread, "/proc/"),
        (by_itself, "/proc/thread-self/ns/net"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_whatever_holds_it_leads_to_it(job, path):
    """
    It is found under the name that it was known by, with a file that opens it.
    """
    netns, found = alone(job)

    assert netns == found.id
    assert found.path.startswith(path)


def test_what_nothing_holds_is_gone():
    """
    For certain, where everything may be looked at.
    """

    def job():
        """Look after it has ended."""
        with bystander(own_namespace) as pid:
            netns = known(f"/proc/{pid}/ns/net")
        return namespaces.find_again(netns)

    assert alone(job) is None


def test_who_was_inside_and_left_does_not_hold_it():
    """
    A thread that ends is still told as one of its namespace: ours does not end inside.
    """

    def job():
        """Look at once after it has ended, with a thread of our own inside until then."""
        found = []
        for _ in range(20):
            with bystander(own_namespace) as pid:
                netns = known(f"/proc/{pid}/ns/net")
                descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            ref = namespaces.NetnsRef(netns, f"/proc/self/fd/{descriptor}")
            namespaces.inside(ref, lambda: None)
            os.close(descriptor)
            found.append(namespaces.find_again(netns))
        return found

    assert [None] * 20 == alone(job)


def test_an_inode_that_is_another_namespace_now_is_none():
    """
    The cookie decides, also where this kernel tells none; one without is found by its inode.
    """

    def job():
        """Ask for the own inode with another cookie, and without one."""
        here = namespaces.identify()
        other = msgspec.structs.replace(here, cookie=(here.cookie or 0) + 1)
        old = msgspec.structs.replace(here, cookie=None)
        return namespaces.find_again(other), namespaces.find_again(old) is not None

    assert (None, True) == alone(job)


def test_what_may_not_be_looked_at_is_not_called_gone():
    """
    Without rights processes of others may hold it: the error says which right is missing.
    """

    def look(netns):
        """Look as nobody."""
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            return namespaces.find_again(netns)
        except NotPermittedError as error:
            return error.message

    def job():
        """Let it be root's."""
        with bystander(own_namespace) as pid:
            netns = known(f"/proc/{pid}/ns/net")
            return in_child(lambda: look(netns))

    assert "CAP_SYS_PTRACE" in alone(job)


def test_a_namespace_without_a_holder_has_no_file():
    """
    An inode that was never one.
    """
    assert alone(lambda: find_holder(1)) is None
