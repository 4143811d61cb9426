"""`portroom boot` of real trees: what it says, and that nothing in them stops or misleads it."""

import os
import resource
import socket
import time
from pathlib import Path

import pytest

from portroom.model.facts.settings import SETTINGS
from tests.e2e.faults import (
    answered,
    as_nobody,
    ask,
    mount,
    needs_root,
    open_ways,
    private_mounts,
    refused,
)
from tests.kernel.harness import enter_new_namespace, in_child, write_settings

KEY = "net.ipv4.ip_local_port_range"
SECONDS = 2
"""Within which each tree is answered: of the processor, so that other work does not count."""

PATIENCE_S = 10
"""A process that waits for something uses no processor; nothing else takes so long."""


def line(value, key=KEY):
    """Return a line of a sysctl file."""
    return f"{key} = {value}\n"


@pytest.fixture
def tree(tmp_path):
    """Return a folder with empty sysctl directories."""
    root = tmp_path / "tree"
    for name in ("etc", "run", "usr/lib"):
        (root / name / "sysctl.d").mkdir(parents=True)
    return root


def limited():
    """End this process when it worked for SECONDS."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def boot(root, *words, before=limited, **others):
    """Ask about a tree; fail where it takes too long."""
    begun = time.monotonic()
    ended = ask("boot", "--root", str(root), *words, before=before, **others)

    assert time.monotonic() - begun < PATIENCE_S
    return ended


def ask_json(root, *words, **others):
    """Return what is told of the range as JSON, once it is an answer."""
    ended = boot(root, "--key", "range", "-o", "json", *words, **others)
    answered(ended)
    return ended.json


# What it says.


def test_the_article_boots_differently_by_program(tree):
    """A drop-in and /etc/sysctl.conf that disagree: who wins depends on who boots."""
    drop_in = f"/etc/sysctl.d/{KEY}.conf"
    Path(f"{tree}{drop_in}").write_text(line("15000 65000"))
    (tree / "etc/sysctl.conf").write_text(line("15000 64000"))
    by_systemd, by_procps = (ask_json(tree, "--program", name) for name in ("systemd", "procps"))

    assert ("15000 65000", {"file": drop_in, "line": 1}) == (
        by_systemd["value"],
        by_systemd["winner"],
    )
    assert ("15000 64000", {"file": "/etc/sysctl.conf", "line": 1}) == (
        by_procps["value"],
        by_procps["winner"],
    )
    assert by_systemd["programs_differ"]
    assert by_procps["programs_differ"]
    answered(
        boot(tree, "--program", "systemd"),
        "Programs differ on range.",
        "unread      15000 64000  /etc/sysctl.conf:1",
        "Programs differ: sysctl --system leaves 15000 64000, by /etc/sysctl.conf:1.",
    )


def test_this_host_is_answered():
    """Without a root the answer is about this system, with every setting."""
    ended = ask("boot", "-o", "json", before=limited)
    answered(ended)

    assert "/" == ended.json["root"]
    assert [row.key for row in SETTINGS] == [one["key"] for one in ended.json["keys"]]


def test_a_tree_without_files_keeps_the_defaults(tree):
    """An empty tree and one without any directory say the same."""
    for root in (tree, tree / "run/sysctl.d"):
        told = ask_json(root, "--program", "systemd")

        assert (None, None, []) == (told["value"], told["winner"], told["candidates"])
        answered(boot(root), "No sysctl file names any of these settings")


@needs_root
def test_a_saved_snapshot_answers_the_same():
    """Files, values of now and the program are in it: only the instant differs."""

    def job():
        private_mounts()
        mount("tmpfs", "/etc/sysctl.d", "tmpfs")
        mount("tmpfs", "/mnt", "tmpfs")
        Path("/etc/sysctl.d/50-a.conf").write_text(line("15000 64000") + line("7", "kernel.panic"))
        ask("snapshot", "--out", "/mnt/saved")
        words = ["boot", "--program", "procps", "-o", "json"]
        here = ask(*words)
        Path("/etc/sysctl.d/50-a.conf").unlink()
        saved = [*words, "--snapshot", "/mnt/saved"]
        return here, ask(*saved), ask(*saved, "--key", "kernel.panic")

    here, there, other = in_child(job)
    for ended in (here, there, other):
        answered(ended)

    assert here.json | {"taken_at": there.json["taken_at"]} == there.json
    assert "15000 64000" == there.json["keys"][0]["value"]
    assert ("7", "unchecked") == (other.json["value"], other.json["candidates"][0]["outcome"])
    assert "kernel.panic: not_looked_at" in other.reasons


NOT_HERE = "starts from the kernel's defaults"


@needs_root
def test_another_namespace_has_no_values_to_compare_with():
    """
    Boot files set the namespace of the host: elsewhere nothing of a namespace is "not as now".

    What holds for the whole system is told all the same, also from a saved Snapshot.
    """

    def job():
        """Ask in a new namespace, in which the range is not as any boot gives it."""
        private_mounts()
        mount("tmpfs", "/mnt", "tmpfs")
        enter_new_namespace()
        write_settings(ip_local_port_range="15000 64000")
        ask("snapshot", "--out", "/mnt/saved")
        words = ["boot", "-o", "json"]
        saved = "--snapshot", "/mnt/saved"
        texts = ask("boot"), ask("boot", "--key", "range"), ask("boot", *saved)
        return texts, [ask(*words), ask(*words, *saved)]

    texts, every = in_child(job)
    for ended in texts:
        answered(ended, NOT_HERE)
        assert "15000 64000" not in ended.answer
        assert "not as now" not in ended.answer
        assert "Now it is" not in ended.answer
    for ended in every:
        answered(ended)
        told = {one["name"]: one for one in ended.json["keys"]}
        (gap,) = (gap for gap in ended.json["gaps"] if NOT_HERE in gap["reason"])

        assert {"range.current", "tcp_max_tw_buckets.current"} <= set(gap["affects"])
        assert "nr_open.current" not in gap["affects"]
        assert told["range"]["current"] is None
        assert told["nr_open"]["current"]


def test_another_system_has_no_writers_that_run(tree):
    """The processes and the command line of this host say nothing of it: a Gap names writers."""
    told = ask_json(tree, "--program", "systemd")

    assert [["current", "writers"]] == [gap["affects"] for gap in told["gaps"]]
    assert "no processes, no kernel command line" in told["gaps"][0]["reason"]


# What must not stop it.


def fifo(path):
    """Make a FIFO, which a reader waits for."""
    os.mkfifo(path)


def zero(path):
    """Make a device that never ends."""
    os.mknod(path, 0o20644, os.makedev(1, 5))


def sparse(path):
    """Make a file of 5 GB that takes no room."""
    with path.open("wb") as file:
        file.truncate(5 << 30)


def loop(path):
    """Make two links that lead to each other."""
    path.symlink_to("other.conf")
    path.with_name("other.conf").symlink_to(path.name)


def chain(path):
    """Make links, each to the next, more than a path may lead through."""
    for number in range(60):
        path.with_name(f"link{number}").symlink_to(f"link{number + 1}")
    path.symlink_to("link0")


def endless(path):
    """Make a link to what never ends, inside the tree."""
    zero(path.with_name("zero"))
    path.symlink_to("/etc/sysctl.d/zero")


def listening(path):
    """Make a socket."""
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(path.parent, os.O_PATH)
        server.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)


UNSEEN = {
    fifo: "is a FIFO",
    zero: "is a device",
    sparse: "is too large",
    endless: "is a device",
}


@needs_root
@pytest.mark.parametrize("make", UNSEEN, ids=lambda make: make.__name__)
@pytest.mark.parametrize("program", ["systemd", "procps", "tuned"])
def test_what_cannot_be_read_is_left_out_and_said(tree, make, program):
    """A program would wait or read for ever: the rest is told, and that it is uncertain."""
    (tree / "etc/sysctl.d/50-a.conf").write_text(line("15000 64000"))
    make(tree / "etc/sysctl.d/60-b.conf")
    told = ask_json(tree, "--program", program)
    (gap,) = told["gaps"][:1]

    assert "15000 64000" == told["value"]
    assert "/etc/sysctl.d/60-b.conf" == gap["source"]
    assert UNSEEN[make] in gap["reason"]
    assert {"value", "winner"} <= set(gap["affects"])


@pytest.mark.parametrize("make", [loop, chain, listening], ids=lambda make: make.__name__)
def test_what_holds_nothing_is_no_gap(tree, make):
    """A link in circles, and a socket, give a program nothing: no doubt, no delay."""
    (tree / "etc/sysctl.d/50-a.conf").write_text(line("15000 64000"))
    make(tree / "etc/sysctl.d/60-b.conf")
    told = ask_json(tree, "--program", "systemd")

    assert "15000 64000" == told["value"]
    assert ["current"] == [gap["source"] for gap in told["gaps"]]


@needs_root
@pytest.mark.parametrize("make", [fifo, zero, sparse, loop], ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", ["etc/sysctl.conf", "etc/sysctl.d", "usr/lib/sysctl.d"])
def test_whatever_lies_in_place_of_a_file_or_directory(tree, make, name):
    """The same under the names that every program knows."""
    path = tree / name
    if path.is_dir():
        path.rmdir()
    make(path)

    for program in ("systemd", "procps", "tuned"):
        answered(boot(tree, "--program", program))


def test_ten_thousand_files(tree):
    """All are read, the last one wins, and the table tells of ten."""
    for number in range(10_000):
        (tree / f"etc/sysctl.d/{number:05}.conf").write_text(line(f"{15000 + number} 65000"))
    told = ask_json(tree, "--program", "procps")

    assert "24999 65000" == told["value"]
    assert "/etc/sysctl.d/09999.conf" == told["winner"]["file"]
    assert 10_000 == len(told["candidates"])
    answered(boot(tree, "--program", "procps", "--key", "range"), "and 9,990 lines more: -o wide")


def test_more_files_than_are_read_are_said(tree):
    """Beyond 10,000 names of one directory there is a gap, and the answer is uncertain."""
    for number in range(10_003):
        (tree / f"etc/sysctl.d/{number:05}.conf").touch()
    (gap,) = ask_json(tree, "--program", "systemd")["gaps"][:1]

    assert ("/etc/sysctl.d", "has 3 names more than the first 10000") == (
        gap["source"],
        gap["reason"],
    )
    assert "value" in gap["affects"]


HUGE = {
    "a line of 3 MB": line("15000 64000") + "x" * 3_000_000 + "\n" + line("1 2"),
    "a value of 3 MB": line("15000 64000 " + "x" * 3_000_000),
    "3 MB of blanks": line("15000 64000") + " " * 3_000_000,
    "10,000 lines": line("15000 64000") * 10_000,
    "a million empty lines": "\n" * 1_000_000 + line("15000 64000"),
    "a key of 3 MB": line("15000 64000") + "net." * 750_000 + "a = 1\n",
    "a pattern of 3 MB": line("15000 64000") + "net/ipv4/" + "[*" * 1_500_000 + " = 1\n",
    "patterns of 1 kB": line("15000 64000") + ("net/ipv4/" + "[*" * 500 + " = 1\n") * 20,
    "braces": line("15000 64000") + ("net/ipv4/*" + "{a,b}" * 40 + " = 1\n") * 20,
    "braces that are followed": line("15000 64000") + ("*" + "{a,b,c}" * 6 + " = 1\n") * 20,
    "open braces": line("15000 64000") + "net/ipv4/*" + "{" * 4_000 + " = 1\n",
    "nested braces": line("15000 64000") + "{" * 1_300 + "a*" + "}" * 1_300 + " = 1\n",
    "stars": line("15000 64000") + "net/ipv4/ip_" + "*" * 2_000 + "X = 1\n",
    "stars and letters": line("15000 64000") + "net/ipv4/ip_" + "*l" * 1_500 + " = 1\n",
    "a hundred thousand lines of one key": line("15000 64000") * 100_000,
    "NUL": line("15000 64000") + "\0" * 3_000_000,
}


@pytest.mark.parametrize("content", HUGE.values(), ids=HUGE)
def test_huge_contents_take_no_time(tree, content):
    """Whatever its size, a file costs what its bytes cost."""
    (tree / "etc/sysctl.d/50-a.conf").write_text(content)

    for program in ("systemd", "procps", "tuned"):
        answered(boot(tree, "--program", program))


@needs_root
def test_files_of_this_system_that_wait_or_never_end():
    """Below / itself links may lead to files of procfs, which look like regular ones."""

    def job():
        private_mounts()
        mount("tmpfs", "/etc/sysctl.d", "tmpfs")
        folder = Path("/etc/sysctl.d")
        targets = ["kmsg", "kcore", "self/mem", "self/pagemap", "self/fd/0", "kpagecount"]
        for number, target in enumerate(targets):
            (folder / f"{number}.conf").symlink_to(f"/proc/{target}")
        (folder / "50-a.conf").write_text(line("15000 64000"))
        fifo(folder / "60-b.conf")
        words = "--program", "systemd", "--key", "range", "-o", "json"
        return ask("boot", *words, before=limited)

    ended = in_child(job)
    answered(ended)

    assert "15000 64000" == ended.json["value"]
    assert "/etc/sysctl.d/60-b.conf" in ended.reasons


# What must not mislead it.


@needs_root
def test_what_another_user_may_not_read_is_said():
    """A file without rights, and a directory that cannot be listed, are gaps and no defaults."""

    def job():
        private_mounts()
        open_ways()
        mount("tmpfs", "/mnt", "tmpfs", options="mode=755")
        for name in ("etc", "run"):
            Path(f"/mnt/{name}/sysctl.d").mkdir(parents=True)
        Path("/mnt/etc/sysctl.d/50-a.conf").write_text(line("15000 64000"))
        Path("/mnt/etc/sysctl.d/60-b.conf").write_text(line("1024 2000"))
        Path("/mnt/etc/sysctl.d/60-b.conf").chmod(0)
        Path("/mnt/run/sysctl.d").chmod(0)
        words = "boot", "--root", "/mnt", "--program", "systemd", "--key", "range"
        seen = as_nobody(*words, "-o", "json")
        Path("/mnt").chmod(0o700)
        return seen, as_nobody(*words)

    seen, barred = in_child(job)
    answered(seen)

    assert "15000 64000" == seen.json["value"]
    assert {"/etc/sysctl.d/60-b.conf", "/run/sysctl.d"} <= {
        gap["source"] for gap in seen.json["gaps"] if "value" in gap["affects"]
    }
    refused(barred, 3, "'/mnt' may not be entered", "Permission denied")


def test_nothing_outside_the_root_is_ever_read(tree, tmp_path):
    """Absolute links, links upwards, and folders that are links all stay inside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "99-z.conf").write_text(line("1111 2222"))
    up = "../" * 40
    folder = tree / "etc/sysctl.d"
    (folder / "90-absolute.conf").symlink_to(outside / "99-z.conf")
    (folder / "91-upwards.conf").symlink_to(f"{up}{outside}/99-z.conf")
    (tree / "etc/sysctl.conf").symlink_to(outside / "99-z.conf")
    (tree / "run/sysctl.d").rmdir()
    (tree / "run/sysctl.d").symlink_to(outside)
    (tree / "usr/lib/sysctl.d").rmdir()
    (tree / "usr/lib/sysctl.d").symlink_to(f"{up}{outside}")
    (tree / "usr/local").symlink_to(outside)
    (folder / "10-inside.conf").write_text(line("15000 64000"))

    # Whoever follows these links finds what would win.
    assert line("1111 2222") == (folder / "90-absolute.conf").read_text()
    assert line("1111 2222") == (folder / "91-upwards.conf").read_text()
    assert line("1111 2222") == (tree / "run/sysctl.d/99-z.conf").read_text()
    for program in ("systemd", "procps", "tuned"):
        ended = boot(tree, "--program", program, "-o", "json")
        answered(ended)
        told = {one["name"]: one for one in ended.json["keys"]}["range"]

        assert "15000 64000" == told["value"]
        assert "1111" not in ended.answer


def test_an_absolute_link_means_the_folder_inside(tree, tmp_path):
    """What lies at the same path below the root is read, as a system booted there would."""
    outside = tmp_path / "outside.conf"
    outside.write_text(line("1111 2222"))
    inside = Path(f"{tree}{outside}")
    inside.parent.mkdir(parents=True)
    inside.write_text(line("15000 64000"))
    (tree / "etc/sysctl.d/90-a.conf").symlink_to(outside)
    told = ask_json(tree, "--program", "systemd")

    assert "15000 64000" == told["value"]
    assert {"file": "/etc/sysctl.d/90-a.conf", "line": 1} == told["winner"]


NAMES = {
    "no UTF-8": b"90-\xff\xfe.conf",
    "escapes": b"90-\x1b[2J\x1b[31m\x07.conf",
    "a line end": b"90-\nNot seen: nothing.conf",
    "a carriage return": b"90-\rrange 1 2.conf",
    "right to left": "90-\u202efnoc.\u2066.conf".encode(),
    "a formula": b"=cmd|' calc'!A0.conf",
    "blanks": b"  90 -  a .conf",
    "a dash": b"-o json.conf",
    "255 bytes": b"9" * 250 + b".conf",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("output", ["table", "wide", "json", "jsonl", "csv"])
def test_hostile_names_and_values_act_nowhere(tree, name, output):
    """Names of files and values of lines are escaped in every format, and still told."""
    folder = os.fsencode(tree / "etc/sysctl.d")
    content = b"net.ipv4.tcp_tw_reuse = \x1b[31m1\x9b\x07\n" + line("15000 64000").encode()
    Path(os.fsdecode(folder + b"/" + name)).write_bytes(content)
    words = "--key", "range", "--key", "tcp_tw_reuse", "-o", output
    ended = boot(tree, "--program", "procps", *words, environment={"COLUMNS": "80"})

    assert 0 == ended.status
    assert "15000 64000" in ended.answer
    assert all(text.isprintable() for text in ended.answer.splitlines())
    assert "\r" not in ended.answer
    assert ended.told.replace("\n", "").isprintable()
