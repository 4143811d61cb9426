"""Without rights: everything answers, totals are right, and it says what it needs."""

import os
from pathlib import Path

import pytest

from tests.e2e.faults import (
    MS_BIND,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    answered,
    as_nobody,
    ask,
    mount,
    needs_root,
    open_ways,
    private_mounts,
    refused,
)
from tests.kernel.bystanders import bystander, own_namespace
from tests.kernel.sockets import accept_all, connected, listener

pytestmark = needs_root

BOTH = "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
READING = ("status", "headroom", "sessions", "settings")
COMMANDS = (*READING, "snapshot")


def prepared(*, hidden=False, named=False):
    """Hold two connections in a place where nobody can start the command."""
    private_mounts()
    open_ways()
    server = listener("127.0.0.1", 9000)
    for _ in range(2):
        connected(("127.0.0.1", 9000))
    accept_all(server, 2)
    if hidden:
        mount("proc", "/proc", "proc", options="hidepid=2")
    mount("tmpfs", "/run", "tmpfs", options="mode=755")
    if named:
        Path("/run/netns").mkdir()
        for name in ("blue", "green"):
            Path(f"/run/netns/{name}").touch()
            with bystander(own_namespace) as pid:
                mount(f"/proc/{pid}/ns/net", f"/run/netns/{name}", "", MS_BIND)


@pytest.mark.parametrize("hidden", [False, True], ids=["plain", "hidepid"])
def test_nobody_gets_every_answer_and_the_same_counts(netns, hidden):
    """Each command ends with 0; what root and nobody count is the same."""

    def job():
        prepared(hidden=hidden)
        words = [(name, "-o", "json") for name in READING]
        return [(ask(*each), as_nobody(*each)) for each in words]

    (status, poor_status), (keys, poor_keys), (rows, poor_rows), settings = netns(job)
    for ended in (poor_status, poor_keys, poor_rows, *settings):
        answered(ended)

    assert status.json["sessions"]["states"] == poor_status.json["sessions"]["states"]
    assert status.json["sessions"]["transports"] == poor_status.json["sessions"]["transports"]
    assert without_owners(keys, "keys") == without_owners(poor_keys, "keys")
    assert without_owners(rows, "sessions") == without_owners(poor_rows, "sessions")
    assert current_values(settings[0]) == current_values(settings[1])


def current_values(ended):
    """Return the settings as they are now: what boots the system not every user can see."""
    ahead = {"persisted", "persisted_at", "drift", "candidates"}
    return [
        {name: value for name, value in one.items() if name not in ahead}
        for one in ended.json["settings"]
    ]


def without_owners(ended, name):
    """Return the objects of an answer, their owners left out."""
    return [{**one, "owners": None} for one in ended.json[name]]


@pytest.mark.parametrize("hidden", [False, True], ids=["plain", "hidepid"])
def test_owners_that_may_not_be_read_are_said_to_be_so(netns, hidden):
    """Not readable, or ?, in the column; below it the capabilities that are missing."""

    def job():
        prepared(hidden=hidden)
        return [as_nobody(*words) for words in (("status",), ("headroom",), ("sessions",))]

    status, headroom, sessions = netns(job)

    answered(status, "not readable 2", "CAP_SYS_PTRACE")
    answered(headroom, "not readable", "CAP_SYS_PTRACE")
    answered(sessions, " ?\n", BOTH)


def test_root_sees_through_hidepid(netns):
    """With CAP_SYS_PTRACE the owners are there, and nothing is said to be hidden."""

    def job():
        prepared(hidden=True)
        return os.getpid(), ask("headroom", "127.0.0.1:9000", "-o", "json")

    pid, ended = netns(job)
    (key,) = ended.json["keys"]

    assert [(pid, 2)] == [(one["pid"], one["sockets"]) for one in key["owners"]]
    assert [] == ended.json["gaps"]


@pytest.mark.parametrize("words", ["status", "headroom", "sessions", "settings", "snapshot"])
def test_another_namespace_is_refused_with_the_line_to_run(netns, words):
    """By its process: both capabilities, and the same command behind sudo."""

    def job():
        prepared()
        with bystander(own_namespace) as pid:
            return pid, as_nobody(words, "--netns", str(pid))

    pid, ended = netns(job)

    refused(ended, 3, "CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "Run: sudo ")
    assert ended.told.endswith(f"-m portroom {words} --netns {pid}\n")


def test_a_named_namespace_may_be_found_but_not_entered(netns):
    """By its name: CAP_SYS_ADMIN, and the line to run."""

    def job():
        prepared(named=True)
        return as_nobody("status", "--netns", "blue")

    refused(netns(job), 3, "'blue'", "CAP_SYS_ADMIN", "-m portroom status --netns blue\n")


@pytest.mark.parametrize("hidden", [False, True], ids=["plain", "hidepid"])
def test_all_namespaces_are_those_that_may_be_seen(netns, hidden):
    """The own one answers; those closed and those not even found are gaps."""

    def job():
        prepared(hidden=hidden, named=True)
        return as_nobody("headroom", "--all-netns", "-o", "json")

    ended = netns(job)
    answered(ended)
    (only,) = ended.json["namespaces"]
    reasons = [gap["reason"] for gap in only["gaps"] if gap["source"] == "namespaces"]

    assert [2] == [key["states"]["ESTABLISHED"] for key in only["keys"]]
    assert 2 == len(reasons)
    assert ("hidden" if hidden else "CAP_SYS_PTRACE") in reasons[0]
    assert "2 gave no answer" in reasons[1]
    assert "CAP_SYS_ADMIN. Run: sudo " in reasons[1]


def test_a_threshold_in_namespaces_that_are_closed_cannot_be_decided(netns):
    """Those that were seen have ports enough; the others may not: exit 3."""

    def job():
        prepared(named=True)
        return as_nobody("headroom", "--all-netns", "--warn-below", "1")

    ended = netns(job)

    assert 3 == ended.status
    assert "cannot be decided: not every network namespace could be read" in ended.told


def test_a_process_that_is_hidden_is_not_there(netns):
    """With hidepid nobody cannot tell it from one that ended, and neither can we."""

    def job():
        prepared(hidden=True)
        return as_nobody("status", "--netns", "1")

    refused(netns(job), 2, "No process 1: it has ended, or cannot be seen from here.")


def test_a_snapshot_of_nobody_answers_as_it_was(netns):
    """What could not be read is a gap of the file too, whoever reads it."""

    def job():
        prepared()
        mount("tmpfs", "/mnt", "tmpfs", options="mode=1777")
        saved = as_nobody("snapshot", "--sessions", "--out", "/mnt/saved")
        words = [("headroom",), ("sessions",), ("status",)]
        return saved, [ask(*each, "--snapshot", "/mnt/saved") for each in words]

    saved, endings = netns(job)

    assert (0, "", "") == saved
    for ended in endings:
        answered(ended, "CAP_SYS_PTRACE")


def test_a_proc_that_is_read_only_is_enough(netns):
    """Nothing is ever written there: each command answers as before."""

    def job():
        prepared()
        mount("/proc", "/proc", "", MS_BIND | MS_REC)
        mount("", "/proc", "", MS_BIND | MS_REMOUNT | MS_RDONLY)
        return [ask(name) for name in READING]

    for ended in netns(job):
        answered(ended)


def test_settings_that_are_not_there_are_one_sentence(netns):
    """A /proc without sys/net cannot say what the range is: exit 3, and what to do."""

    def job():
        prepared()
        mount("tmpfs", "/proc/sys/net", "tmpfs")
        endings = [ask(name) for name in COMMANDS]
        return [*endings, ask("status", "--all-netns")]

    for ended in netns(job):
        refused(ended, 3, "/proc/sys/net/ipv4/ip_local_port_range", "does not exist", "Mount")


def test_an_empty_proc_is_one_sentence(netns):
    """No procfs at all: exit 3, whatever is asked."""

    def job():
        prepared()
        mount("tmpfs", "/proc", "tmpfs")
        words = [("status", "--all-netns"), ("status", "--netns", "/etc/passwd")]
        return [ask(*each) for each in (*((name,) for name in COMMANDS), *words)]

    for ended in netns(job):
        refused(ended, 3, "/proc")


def test_a_range_that_nobody_can_read_is_one_sentence(netns):
    """A file that is no range is quoted; one that may not be read names the right."""

    def job():
        prepared()
        mount("tmpfs", "/mnt", "tmpfs", options="mode=755")
        fake, real = Path("/mnt/range"), "/proc/sys/net/ipv4/ip_local_port_range"
        fake.write_text("32768\x1b[31m\n")
        mount(str(fake), real, "", MS_BIND)
        damaged = ask("status")
        fake.chmod(0o600)
        return damaged, as_nobody("status")

    damaged, closed = netns(job)

    refused(damaged, 3, "ip_local_port_range", "'32768\\x1b[31m")
    refused(closed, 3, "ip_local_port_range")
