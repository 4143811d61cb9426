"""Namespaces that are none, are gone, or go while they are asked about."""

import contextlib
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from tests.e2e.faults import (
    CLEAN,
    COMMAND,
    DEADLINE_S,
    MS_BIND,
    alone,
    answered,
    ask,
    mount,
    needs_root,
    refused,
)
from tests.kernel.bystanders import bystander, ended_pid, own_namespace
from tests.kernel.sockets import listener

READING = ("status", "headroom", "sessions", "settings", "snapshot")


@pytest.mark.parametrize("command", READING)
def test_what_is_no_namespace_is_named_as_what_it_is(tmp_path, command):
    """A file, a FIFO, a folder, a device, a namespace of another kind: exit 2 at once."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    kinds = {
        tmp_path / "file": "a plain file",
        tmp_path / "fifo": "a FIFO",
        tmp_path: "a folder",
        "/dev/zero": "a device",
        "/proc/self/ns/mnt": "a namespace of another kind",
    }

    for path, kind in kinds.items():
        refused(ask(command, "--netns", str(path)), 2, f"no network namespace but {kind}")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../../no-such-place", "../../no-such-place does not exist"),
        ("..", "No network namespace '..'"),
        ("", "No network namespace ''"),
        ("no-such-name", "`ip netns list` shows the names"),
        ("0", "No process 0"),
        ("99999999999999999999", "No network namespace '99999999999999999999'"),
        ("-1", "No network namespace '-1'"),
        ("٣", "No network namespace '٣'"),
        ("x\x1b[31m\n", "\\x1b[31m\\n"),
        ("/proc/1/ns/../../../dev/zero", "a device"),
        ("a" * 5000, "No network namespace 'aaa"),
        ("/" + "a" * 5000, "No network namespace"),
    ],
)
def test_a_name_that_means_nothing_is_quoted(name, told):
    """One sentence; nothing of the name acts on the terminal."""
    refused(ask("status", "--netns", name), 2, told)


def test_a_process_that_ended_is_no_way_to_a_namespace():
    """By its number or by its file: exit 2, and it is said."""
    pid = ended_pid()

    refused(ask("status", "--netns", str(pid)), 2, f"No process {pid}: it has ended")
    refused(ask("status", "--netns", f"/proc/{pid}/ns/net"), 2, "does not exist (any more)")


@needs_root
def test_a_name_whose_namespace_was_deleted_is_a_plain_file():
    """``/run/netns`` keeps the file when the mount on it is gone."""

    def job():
        Path("/run/netns").mkdir()
        Path("/run/netns/stale").touch()
        Path("/run/netns/dangling").symlink_to("/nowhere")
        names = ("stale", "dangling")
        return [ask("status", "--netns", name) for name in names], ask("status", "--all-netns")

    (stale, dangling), every = alone(job)

    refused(stale, 2, "the namespace was deleted")
    refused(dangling, 2, "points to nothing")
    answered(every, "host")


@needs_root
@pytest.mark.parametrize("command", ["status", "headroom", "sessions"])
def test_a_namespace_that_vanishes_during_the_question_breaks_nothing(command):
    """Its last process ends at any instant: an answer, or one sentence and exit 2."""
    endings = []
    for delay_s in (0.0, 0.03, 0.06, 0.09, 0.12, 0.15):
        with contextlib.ExitStack() as stack:
            pid = stack.enter_context(bystander(own_namespace))
            words = [*COMMAND, command, "--netns", str(pid)]
            process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=CLEAN, text=True
            )
            threading.Event().wait(delay_s)
            stack.close()
            answer, told = process.communicate(timeout=DEADLINE_S)
            endings.append((process.returncode, bool(answer), told))

    for status, has_answer, told in endings:
        assert (status, has_answer) in {(0, True), (2, False)}, told
        assert told.count("\n") == (status != 0), told
        assert "Traceback" not in told


@needs_root
def test_all_namespaces_answer_while_others_come_and_go():
    """Whatever vanishes meanwhile, the one that stays is there with its socket."""
    inode, endings = alone(all_in_a_churn)

    for ended in endings:
        assert (0, "") == (ended.status, ended.told)
        found = [one for one in ended.json["namespaces"] if one["netns"]["inode"] == inode]
        assert 1 == len(found)
    assert [9321] == [one["local_port"] for one in found[0]["sessions"]]


def all_in_a_churn():
    """Ask for all namespaces while many are made and let go; one of them stays."""
    stop = threading.Event()

    def churn():
        """Make namespaces and let them go, as fast as it goes."""
        while not stop.is_set():
            subprocess.run(["unshare", "--net", "true"], check=True)

    churner = threading.Thread(target=churn)
    with bystander(own_namespace, lambda: listener("0.0.0.0", 9321)) as pid:
        inode = Path(f"/proc/{pid}/ns/net").stat().st_ino
        churner.start()
        try:
            words = ["status", "headroom", "settings", *["sessions"] * 3]
            return inode, [ask(word, "--all-netns", "-o", "json") for word in words]
        finally:
            stop.set()
            churner.join()


@needs_root
def test_a_namespace_held_by_a_file_alone_is_entered():
    """No process is in it any more: the mounted file is enough, for every command."""

    def job():
        Path("/run/netns").mkdir()
        Path("/run/netns/kept").touch()
        with bystander(own_namespace) as pid:
            mount(f"/proc/{pid}/ns/net", "/run/netns/kept", "", MS_BIND)
        every = ask("sessions", "--summary", "--all-netns", "-o", "json")
        return every, [ask(name, "--netns", "kept", "-o", "json") for name in READING]

    every, endings = alone(job)

    assert "kept" in {one["netns"]["name"] for one in json.loads(every.answer)["namespaces"]}
    for ended in endings:
        answered(ended, '"kept"')
