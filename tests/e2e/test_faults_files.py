"""Files that are damaged, foreign, closed, endless or full."""

import json
import os
import pty
import resource
import signal
import subprocess
import zlib
from pathlib import Path

import msgspec
import pytest

from portroom.model.facts.document import FORMAT_VERSION
from tests.e2e.faults import (
    MS_RDONLY,
    MS_REMOUNT,
    as_nobody,
    ask,
    interrupted,
    mount,
    needs_root,
    open_ways,
    private_mounts,
    refused,
)
from tests.kernel.harness import in_child

READING = ("status", "headroom", "sessions", "settings", "snapshot")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return the bytes of a whole Snapshot with sessions."""
    path = tmp_path_factory.mktemp("saved") / "saved"
    answered_with_nothing(ask("snapshot", "--sessions", "--out", str(path)))
    return path.read_bytes()


def answered_with_nothing(ended):
    """Check that a command did what it was told, in silence."""
    assert (0, "", "") == ended


def with_header(saved, **changes):
    """Return a Snapshot whose first line says something else."""
    header, _, parts = saved.partition(b"\n")
    return json.dumps(json.loads(header) | changes).encode() + b"\n" + parts


def damaged_in_the_middle(saved):
    """Return a Snapshot with one byte turned over."""
    place = (saved.index(b"\n") + len(saved)) // 2
    return saved[:place] + bytes([saved[place] ^ 0xFF]) + saved[place + 1 :]


DAMAGE = {
    "empty": (lambda _: b"", "no Snapshot of portroom"),
    "one byte": (lambda saved: saved[:1], "no Snapshot of portroom"),
    "half a header": (lambda saved: saved[:30], "no Snapshot of portroom"),
    "header alone": (lambda saved: saved[: saved.index(b"\n") + 1], "cut short"),
    "half": (lambda saved: saved[: len(saved) // 2 + 100], "cut short"),
    "all but a byte": (lambda saved: saved[:-1], "cut short"),
    "a byte more": (lambda saved: saved + b"\n", "damaged"),
    "twice": (lambda saved: saved * 2, "damaged"),
    "a bit turned": (damaged_in_the_middle, "damaged"),
    "text": (lambda _: b"Netid State Recv-Q\n", "no Snapshot of portroom"),
    "other json": (lambda _: b'{"schema_version": 1}\n', "no Snapshot of portroom"),
    "a picture": (lambda _: b"\x89PNG\r\n\x1a\n" + bytes(99), "no Snapshot of portroom"),
    "hostile": (lambda _: b'\x1b[31m{"format":"\x1b]0;\x07"}\n', "no Snapshot of portroom"),
    "foreign": (lambda saved: with_header(saved, format="tcpdump\x1b[1m"), "no Snapshot"),
    "newer": (lambda saved: with_header(saved, format_version=FORMAT_VERSION + 1), "newer"),
    "no bytes told": (lambda saved: with_header(saved, compressed_bytes=0), "damaged"),
    "fewer than none": (lambda saved: with_header(saved, compressed_bytes=-1), "damaged"),
}


@pytest.mark.parametrize(("damage", "told"), DAMAGE.values(), ids=DAMAGE)
def test_a_file_that_is_no_whole_snapshot_is_one_sentence(tmp_path, saved, damage, told):
    """Exit 3, the file is named, and nothing of it acts."""
    path = tmp_path / "damaged"
    path.write_bytes(damage(saved))

    refused(ask("headroom", "--snapshot", str(path)), 3, str(path), told)


@pytest.mark.parametrize("command", READING)
def test_each_command_tells_the_same_of_a_damaged_file(tmp_path, saved, command):
    """One reader, one sentence."""
    path = tmp_path / "damaged"
    path.write_bytes(saved[:-1])

    refused(ask(command, "--snapshot", str(path)), 3, "cut short")


def test_a_group_without_ports_is_damage(tmp_path, saved):
    """What no portroom writes is refused as a whole, even where it can be read."""
    header, _, parts = saved.partition(b"\n")
    document = msgspec.msgpack.decode(zlib.decompress(parts))
    group = {"protocol": "tcp", "family": 2, "state": "ESTABLISHED", "ports": b""}
    group |= {"local_address": "127.0.0.1", "remote_address": "127.0.0.2", "remote_port": 9}
    document["groups"]["groups"].append({"kind": "unknown"} | group)
    parts = zlib.compress(msgspec.msgpack.encode(document))
    (tmp_path / "odd").write_bytes(with_header(header + b"\n" + parts, compressed_bytes=len(parts)))

    refused(ask("status", "--snapshot", str(tmp_path / "odd")), 3, "damaged")


def test_what_is_no_file_is_refused_at_once(tmp_path):
    """A FIFO that nobody writes, an endless device, a folder, nothing: exit 2."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/zero")
    places = [tmp_path / "fifo", tmp_path / "link", tmp_path, "/dev/zero", "/dev/tty0"]

    for place in places:
        refused(ask("status", "--snapshot", str(place)), 2, str(place))
    for name in (str(tmp_path / "none"), "", "/etc/passwd/x", "a" * 5000, "x\x1b[31m"):
        refused(ask("status", "--snapshot", name), 2, "--snapshot")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    """A terabyte without content is refused by its size."""
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 1 << 40)

    refused(ask("status", "--snapshot", str(path)), 2, f"{1 << 40} bytes are too many")


def test_a_small_file_may_not_unfold_without_end(tmp_path, saved):
    """300 MiB of zeros are 300 KB compressed; they are damage."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = b"".join([packer.compress(block) for _ in range(300)]) + packer.flush()
    (tmp_path / "bomb").write_bytes(
        with_header(saved.split(b"\n")[0] + b"\n", compressed_bytes=len(parts)) + parts
    )

    refused(ask("status", "--snapshot", str(tmp_path / "bomb")), 3, "damaged")


@needs_root
def test_a_file_that_may_not_be_read_is_a_missing_right(saved):
    """Exit 3, not 2: the words were right."""

    def job():
        private_mounts()
        open_ways()
        mount("tmpfs", "/mnt", "tmpfs", options="mode=755")
        Path("/mnt/saved").write_bytes(saved)
        Path("/mnt/saved").chmod(0o600)
        return as_nobody("status", "--snapshot", "/mnt/saved")

    refused(in_child(job), 3, "--snapshot '/mnt/saved': Permission denied.")


def test_a_terminal_gets_no_snapshot():
    """Exit 2 and what to do instead; JSON may go there."""
    ours, theirs = pty.openpty()
    try:
        refused(ask("snapshot", stdout=theirs, stderr=subprocess.PIPE), 2, "--out FILE", "-o json")
    finally:
        os.close(ours)
        os.close(theirs)


def test_what_is_there_stays_unless_forced(tmp_path):
    """A file needs --force, and is replaced whole; anything else stays for good."""
    (tmp_path / "old").write_text("old")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "old")

    for name in ("old", "link"):
        refused(ask("snapshot", "--out", str(tmp_path / name)), 2, "exists already", "--force")
    for name in ("fifo", "."):
        words = "snapshot", "--force", "--out", str(tmp_path / name)
        refused(ask(*words), 2, "is not a regular file")
    answered_with_nothing(ask("snapshot", "--force", "--out", str(tmp_path / "link")))

    assert "old" == (tmp_path / "old").read_text()
    assert {"old", "fifo", "link"} == {path.name for path in tmp_path.iterdir()}
    assert 0o600 == (tmp_path / "link").stat().st_mode & 0o777


@needs_root
@pytest.mark.parametrize("forced", [False, True], ids=["new", "replaced"])
def test_a_full_disk_leaves_nothing_behind(forced):
    """ENOSPC is exit 4; what was there is as before, and no draft stays."""

    def full():
        private_mounts()
        mount("tmpfs", "/mnt", "tmpfs", options="size=16k")
        Path("/mnt/old").write_bytes(b"before")
        Path("/mnt/fill").write_bytes(bytes(12288))
        words = ("--out", "/mnt/old", "--force") if forced else ("--out", "/mnt/new")
        ended = ask("snapshot", *words)
        return ended, Path("/mnt/old").read_bytes(), [path.name for path in Path("/mnt").iterdir()]

    ended, before, left = in_child(full)

    refused(ended, 4, "No space left on device")
    assert (b"before", {"old", "fill"}) == (before, set(left))


@needs_root
def test_a_folder_that_takes_nothing_is_one_sentence():
    """Read-only, closed to the user, or not there: exit 4."""

    def job():
        private_mounts()
        open_ways()
        mount("tmpfs", "/mnt", "tmpfs", options="mode=755")
        closed = as_nobody("snapshot", "--out", "/mnt/new")
        mount("", "/mnt", "", MS_REMOUNT | MS_RDONLY)
        return closed, ask("snapshot", "--out", "/mnt/new"), ask("snapshot", "--out", "/mnt/x/y")

    closed, read_only, missing = in_child(job)

    refused(closed, 4, "'/mnt/new'", "Permission denied")
    refused(read_only, 4, "'/mnt/new'", "Read-only file system")
    refused(missing, 4, "'/mnt/x/y'", "No such file or directory")


def test_a_limit_of_file_size_is_one_sentence(tmp_path):
    """EFBIG of RLIMIT_FSIZE: exit 4, nothing is left."""

    def limit():
        """Let no file grow, and the kernel say so instead of killing."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    refused(ask("snapshot", "--out", str(tmp_path / "new"), before=limit), 4, "File too large")
    assert [] == list(tmp_path.iterdir())


def test_ctrl_c_while_a_file_is_made_leaves_no_draft(tmp_path):
    """Interrupted at any time: the name is free, or holds a whole Snapshot."""
    for delay_s in (0.0, 0.02, 0.04, 0.06, 0.08):
        out = tmp_path / f"after-{delay_s}"
        ended = interrupted("snapshot", "--out", str(out), delay_s=delay_s)

        assert (ended.status, ended.told) in {(0, ""), (130, "")}
        assert not out.exists() or ask("status", "--snapshot", str(out)).status == 0
    assert [] == [path for path in tmp_path.iterdir() if path.name.startswith(".")]
