"""A setting is written whole and read back, by whoever has the right; the rest is told."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from portroom.change.settings import (
    PIECE_BYTES,
    pieces,
    probe_setting,
    read_canonical,
    torn_texts,
    write_setting,
)
from portroom.errors import (
    InvalidRequestError,
    KernelDataError,
    NotPermittedError,
    NotSupportedError,
    PortroomError,
    WriteError,
)
from portroom.kernel.sysctl import sysctl_path
from portroom.model.facts.settings import SETTINGS
from tests.e2e.faults import (
    MS_BIND,
    MS_RDONLY,
    MS_REMOUNT,
    NOBODY,
    alone,
    mount,
    needs_root,
    open_ways,
)
from tests.kernel.bystanders import drop_rights
from tests.kernel.harness import (
    CLONE_NEWNET,
    CLONE_NEWUSER,
    LIBC,
    in_child,
    own_user_namespace,
    unshare,
    write_settings,
)

PR_SET_DUMPABLE = 4

RANGE = "net.ipv4.ip_local_port_range"
RESERVED = "net.ipv4.ip_local_reserved_ports"
START = "net.ipv4.ip_unprivileged_port_start"

WRITABLE = [setting.key for setting in SETTINGS if setting.writable]

LONE_PORTS = ",".join(str(port) for port in range(40_000, 58_976, 2))
"""9,488 of them, 56,927 bytes."""

ALL_LONE_PORTS = ",".join(str(port) for port in range(1, 65536, 2))


def told(job, *arguments):
    """Return class, exit status and sentence of the error that *job* raises."""
    try:
        job(*arguments)
    except PortroomError as error:
        return type(error), error.exit_status, str(error)
    return None


@pytest.mark.parametrize(
    ("key", "texts"),
    [
        (RANGE, ["15000 64001", "1024 65535", "32768 32768"]),
        (RESERVED, ["8080", "8080,9000-9100", "", "0-65535", "1-2,4", LONE_PORTS, ALL_LONE_PORTS]),
        (START, ["0", "80", "1024"]),
        ("net.ipv4.ip_autobind_reuse", ["1", "0"]),
        ("net.ipv4.tcp_tw_reuse", ["0", "1", "2"]),
        ("net.ipv4.tcp_tw_reuse_delay", ["1", "60000"]),
        ("net.ipv4.ip_local_port_step_width", ["4294967295", "0"]),
    ],
)
def test_what_is_written_is_held(netns, key, texts):
    """
    Each value whole, in the form in which it is compared; a kernel without it says so.
    """
    path = Path("/proc/sys", *key.split("."))

    def job():
        """Write one after the other, and read each."""
        if not path.exists():
            return told(write_setting, key, texts[0])[:2]
        seen = []
        for text in texts:
            write_setting(key, text)
            seen.append(read_canonical(key))
        return seen

    assert netns(job) in (texts, (NotSupportedError, 4))


def test_every_writable_setting_was_tried():
    """
    The test above knows all of the table.
    """
    (mark,) = test_what_is_written_is_held.pytestmark

    assert set(WRITABLE) == {key for key, _ in mark.args[1]}


def test_a_long_list_goes_in_pieces_that_end_behind_a_comma():
    """
    Each fits into a page, and no number is split: a kernel before 5.2 would take half of one.
    """
    cut = pieces(ALL_LONE_PORTS)

    assert f"{ALL_LONE_PORTS}\n".encode() == b"".join(cut)
    assert all(len(piece) <= PIECE_BYTES for piece in cut)
    assert all(piece.endswith(b",") for piece in cut[:-1])
    assert len(cut) > 40


def test_values_are_compared_not_texts(netns):
    """
    What is not canonical is written in canonical form.
    """

    def job():
        """Write lists and ranges in other forms."""
        write_setting(RESERVED, "9000,8080,8081,8080-8090")
        write_setting(RANGE, " 15000\t64001\n")
        return read_canonical(RESERVED), read_canonical(RANGE)

    assert ("8080-8090,9000", "15000 64001") == netns(job)


def test_a_writer_that_dies_half_way_leaves_what_is_foreseen(netns):
    """
    After each piece of a long list the kernel holds one of the texts that are told before.
    """

    def job():
        """Write the pieces one by one, and look after each."""
        seen = []
        write_setting(RESERVED, "7")
        descriptor = os.open("/proc/sys/net/ipv4/ip_local_reserved_ports", os.O_WRONLY)
        for piece in pieces(LONE_PORTS):
            assert os.write(descriptor, piece) == len(piece)
            seen.append(read_canonical(RESERVED))
        os.close(descriptor)
        return seen

    *seen, last = netns(job)

    assert last == LONE_PORTS
    assert set(seen) == torn_texts(RESERVED, LONE_PORTS)
    assert frozenset() == torn_texts(RESERVED, "8080") | torn_texts(RANGE, "1 2")


@pytest.mark.parametrize(
    ("key", "text", "parts"),
    [
        (RANGE, "80 65535", ["the first port 80 lies below", START, "1024"]),
        (START, "40000", ["40000 lies above the first port", RANGE, "32768"]),
        ("net.ipv4.tcp_tw_reuse", "3", ["the kernel refused it: ", "3"]),
        ("net.ipv4.tcp_tw_reuse_delay", "0", ["the kernel refused it: ", "0"]),
        ("net.ipv4.ip_autobind_reuse", "-1", ["the kernel refused it: ", "-1"]),
    ],
)
def test_what_the_kernel_refuses_is_told_with_its_reason(netns, key, text, parts):
    """
    The rule is named, and the other setting that it rests on.
    """

    def job():
        """Try, and look."""
        before = read_canonical(key)
        return told(write_setting, key, text), before == read_canonical(key)

    if not Path(sysctl_path(key)).exists():
        assert netns(told, write_setting, key, text) == (
            NotSupportedError, 4, f"{key} could not be set to {text!r}: this kernel does not have it here."
        )  # fmt: skip
        return

    (kind, status, sentence), same = netns(job)

    assert (WriteError, 4, True) == (kind, status, same)
    assert [] == [part for part in [repr(text), *parts] if part not in sentence]
    assert "does not say why" not in sentence


@pytest.mark.parametrize(
    "key",
    ["kernel.core_pattern", "net.ipv4.tcp_fin_timeout", "net/ipv4/ip_forward", "../x", "a" * 5000],
)
def test_no_other_sysctl_is_written(netns, key):
    """
    Whoever may run portroom may not therefore write any.
    """
    jobs = [(write_setting, key, "1"), (read_canonical, key), (probe_setting, key)]

    seen = netns(lambda: [told(*job) for job in jobs])

    assert {InvalidRequestError} == {kind for kind, _, _ in seen}
    assert all(len(sentence) < 200 for _, _, sentence in seen)


@pytest.mark.parametrize("text", ["", "15000", "15000 64000 5", "64000 15000", "x", "0 70000"])
def test_text_that_is_no_value_is_not_sent(netns, text):
    """
    The kernel would take some of them for something else.
    """

    def job():
        """Try, and look."""
        return told(write_setting, RANGE, text), read_canonical(RANGE)

    error, held = netns(job)

    assert (KernelDataError, "32768 60999") == (error[0], held)


def read_only_settings():
    """Mount /proc/sys as containers have it."""
    mount("/proc/sys", "/proc/sys", "", MS_BIND)
    mount("", "/proc/sys", "", MS_REMOUNT | MS_BIND | MS_RDONLY)


@needs_root
def test_read_only_settings_are_told():
    """
    As most containers have them; reading goes on.
    """

    def job():
        """Try on such a system."""
        read_only_settings()
        return (
            told(write_setting, RANGE, "15000 64001"),
            told(probe_setting, RANGE),
            (read_canonical(RANGE)),
        )

    written, probed, held = alone(job)

    assert (WriteError, 4) == written[:2] == probed[:2]
    assert "read-only /proc/sys (container?)" in written[2]
    assert "--persist-only" in probed[2]
    assert held == "32768 60999"


def as_user(uid):
    """Become a user who has no right but those of every process."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # Else its own files in /proc would belong to root.
    LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


@needs_root
def test_without_the_right_it_is_named():
    """
    CAP_NET_ADMIN, where it must be held, and the line to run; nothing is changed.
    """

    def job():
        """Try as nobody."""
        as_user(NOBODY)
        return (
            told(write_setting, RANGE, "15000 64001"),
            told(probe_setting, RANGE),
            (read_canonical(RANGE)),
        )

    written, probed, held = alone(job)

    assert (NotPermittedError, 4) == written[:2] == probed[:2]
    assert "CAP_NET_ADMIN in the user namespace that owns the network namespace" in written[2]
    assert "Run: sudo " in probed[2]
    assert held == "32768 60999"


@needs_root
def test_uid_0_without_capabilities_may_write():
    """
    It owns the files: rights are tried, and not guessed.
    """

    def job():
        """Give up all capabilities, and write."""
        drop_rights()
        probe_setting(RANGE)
        write_setting(RANGE, "15000 64001")
        return read_canonical(RANGE)

    assert alone(job) == "15000 64001"


@needs_root
def test_the_capability_is_enough():
    """
    A user with CAP_NET_ADMIN and without uid 0 may write.
    """
    rights = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
    rights += ["--inh-caps=+net_admin", "--ambient-caps=+net_admin"]
    script = (
        "import os; from portroom.change.settings import *; "
        f"probe_setting({RANGE!r}); write_setting({RANGE!r}, '15000 64001'); print(os.getuid())"
    )

    def job():
        """Run it as that user."""
        open_ways()
        done = subprocess.run(
            [*rights, sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        return done.stdout, done.stderr, read_canonical(RANGE)

    assert ("1000\n", "", "15000 64001") == alone(job)


def test_root_of_a_user_namespace_may_write(netns):
    """
    Over the network namespaces that it owns, without any right outside.
    """
    del netns  # which skips where there are no namespaces

    def job():
        """Make both as a plain user, and write."""
        if os.geteuid() == 0:
            as_user(NOBODY)
        user, group = os.geteuid(), os.getegid()
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
        own_user_namespace(user, group)
        write_setting(RANGE, "15000 64001")
        return read_canonical(RANGE)

    assert in_child(job) == "15000 64001"


def test_somebody_else_who_writes_at_once_is_noticed(netns):
    """
    What counts is what is read back: a value that is not ours is an error.
    """

    def job():
        """Let another thread set the value again and again."""
        end = threading.Event()

        def meddle():
            """Write another value until the end."""
            while not end.is_set():
                write_settings(ip_local_port_range="20000 30000")

        thread = threading.Thread(target=meddle)
        thread.start()
        try:
            for _ in range(10_000):
                error = told(write_setting, RANGE, "15000 64001")
                if error:
                    return error
        finally:
            end.set()
            thread.join()
        return None

    kind, status, sentence = netns(job)

    assert (WriteError, 4) == (kind, status)
    assert "was set to '15000 64001', and holds '20000 30000' now" in sentence
