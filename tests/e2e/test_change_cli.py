"""`portroom set` and what belongs to it, on a real host: planned, written, kept, taken back."""

import os
import random
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.change_host import SYSCTL_D, end_guardians, hold, on_a_host, reset, state
from tests.e2e.faults import (
    CLEAN,
    COMMAND,
    answered,
    as_nobody,
    ask,
    needs_root,
    open_ways,
    refused,
)
from tests.kernel.harness import in_namespace, wait_until

pytestmark = needs_root

SYSTEMD_SYSCTL = "/lib/systemd/systemd-sysctl"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
RESERVED = Path("/proc/sys/net/ipv4/ip_local_reserved_ports")


def listener(port, kind=socket.SOCK_STREAM):
    """Return a socket that a program holds a port with."""
    held = socket.socket(socket.AF_INET, kind)
    held.bind(("0.0.0.0", port))
    if kind == socket.SOCK_STREAM:
        held.listen()
    return held


def boot():
    """Let the settings be those of a new host, and the real systemd-sysctl apply the files."""
    hold("ip_unprivileged_port_start", "0")
    hold("ip_local_port_range", "32768 60999")
    hold("ip_unprivileged_port_start", "1024")
    hold("ip_local_reserved_ports", "\n")
    hold("tcp_tw_reuse", "2")
    subprocess.run([SYSTEMD_SYSCTL], check=False, capture_output=True)


def codes(plan, severity):
    """Return the codes of the reasons of one severity."""
    return {one["code"] for one in plan["reasons"] if one["severity"] == severity}


def test_the_articles_own_value_works_and_a_better_one_is_offered():
    """
    range=15000-64000 is written, read back and journaled; same parity is told, 15000-64001 offered.
    """

    def job():
        """Set what the article sets."""
        ended = ask("set", "range=15000-64000")
        return ended, RANGE.read_text().split(), ask("journal")

    ended, held, journal = on_a_host(job)

    assert ended.status == 0, ended
    assert ["15000", "64000"] == held
    assert "15000-64001" in ended.answer
    answered(journal, "range=15000-64000")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_listener_newly_inside_refuses_the_plan(kind):
    """
    Nothing is written, the process is named; --reserve keeps its port out, --force does without.
    """

    def job():
        """Ask in three ways beside a listener on 20000."""
        hold("ip_local_reserved_ports", "50000")
        with listener(20000, kind):
            plain = ask("set", "range=15000-64001")
            before = RANGE.read_text().split()
            forced = ask("set", "range=15000-64001", "--force", "--dry-run")
            kept = ask("set", "range=15000-64001", "--reserve")
        return plain, before, forced, kept, RANGE.read_text().split(), RESERVED.read_text()

    plain, before, forced, kept, held, reserved = on_a_host(job)

    assert 4 == plain.status, plain
    assert "20000" in plain.told
    assert "--reserve" in plain.told
    assert "20000" in plain.answer
    assert ["32768", "60999"] == before
    assert 0 == forced.status, forced
    assert 0 == kept.status, kept
    assert ["15000", "64001"] == held
    assert "20000,50000\n" == reserved


def test_every_reason_is_told_at_once():
    """
    Two listeners and too few ports refuse in one sentence.
    """

    def job():
        """Ask for a tiny range that holds two listeners."""
        with listener(20000), listener(20010):
            return ask("set", "range=20000-20099", "-o", "json")

    ended = on_a_host(job)

    assert 4 == ended.status, ended
    assert 1 == ended.told.count("\n")
    assert [] == [part for part in ("20000", "20010", "1,024") if part not in ended.told], (
        ended.told
    )


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("kernel.core_pattern=|/bin/sh", "kernel.core_pattern"),
        ("net.ipv4.ip_forward=1", "net.ipv4.ip_forward"),
        ("tcp_fin_timeout=10", "TIME_WAIT"),
        ("tcp_max_tw_buckets=10", "tcp_max_tw_buckets"),
        ("nf_conntrack_max=1000000", "nf_conntrack_max"),
        ("range=015000-64000", "015000"),
        ("range=0x3a98-0xfa00", "0x3a98"),
        ("range=15000", "15000"),
        ("range=64000-15000", "64000"),
        ("range=15000-65536", "65536"),
        ('range="15000 64000"', "15000"),
        ("reserved=", "reserved"),
        ("reserved=9100-9000", "9100-9000"),
        ("tw_reuse=3", "3"),
    ],
)
def test_what_may_not_be_set_is_wrong_usage(word, part):
    """
    Other keys, myths and values that the kernel would misunderstand end with 2 and one sentence.
    """
    refused(in_namespace(lambda: ask("set", word, "--dry-run")), 2, part)


def test_persisted_holds_after_a_boot_and_undo_takes_all_back():
    """
    The real systemd-sysctl gives the new value; undo leaves file and value as they were.
    """

    def job():
        """Keep a setting, boot, and take it back twice."""
        reset()
        old = state()
        first = ask("set", "tw_reuse=1", "--persist")
        middle = state()
        second = ask("set", "range=15000-64001", "reserved+=9000-9100", "--persist")
        new = state()
        boot()
        booted = state()
        undone = ask("undo"), state(), ask("undo"), state(), ask("undo")
        return old, first, middle, second, new, booted, undone

    old, first, middle, second, new, booted, undone = on_a_host(job)

    assert 0 == first.status, first
    assert 0 == second.status, second
    assert new == booted
    assert {0o644} == {mode for _, mode in new.files.values()}
    assert [0, 0, 4] == [undone[0].status, undone[2].status, undone[4].status], undone
    assert [middle, old] == [undone[1], undone[3]]


def test_undo_after_a_reboot_takes_back_the_file():
    """
    Values are left as the boot made them, and it is told from which file and line they came.
    """

    def job():
        """Keep a setting, and boot: the files apply, and the boot has another id."""
        old = state()
        ask("set", "tw_reuse=0")
        ask("set", "range=15000-64001", "--persist")
        boot()
        Path("/run/boot_id").write_text("00000000-0000-0000-0000-000000000001\n")
        subprocess.run(["mount", "--bind", "/run/boot_id", BOOT_ID], check=True)
        return old, ask("undo"), state(), ask("undo")

    old, ended, after, again = on_a_host(job)

    assert 0 == ended.status, ended
    told = " ".join(ended.answer.split())
    assert "'15000 64001' now, from /etc/sysctl.d/90-portroom.conf:5 at boot." in told
    assert "15000\t64001\n" == after.settings["ip_local_port_range"]
    assert old.files == after.files
    assert 4 == again.status, again


def test_undo_leaves_what_somebody_else_changed():
    """
    A value that is no longer ours is a conflict: nothing is written, not even the file.
    """

    def job():
        """Change the value behind portroom's back."""
        ask("set", "range=15000-64001", "reserved=9000", "--persist")
        hold("ip_local_reserved_ports", "9001")
        before = state()
        return before, ask("undo"), state()

    before, ended, after = on_a_host(job)

    refused(ended, 4, "9001")
    assert before == after


def random_change(draw):
    """Return the words of one random change that is accepted from any state."""
    first = draw.randrange(10000, 30000)
    port = draw.randrange(1024, 65000)
    word = draw.choice(
        [
            f"range={first}-{first + draw.randrange(5000, 30000)}",
            f"reserved+={port}-{port + draw.randrange(0, 500)}",
            f"reserved-={port}",
            "reserved=none",
            f"tw_reuse={draw.randrange(3)}",
            f"tcp_tw_reuse_delay={draw.randrange(1, 60000)}",
            f"ip_autobind_reuse={draw.randrange(2)}",
            f"ip_unprivileged_port_start={draw.randrange(0, 10000)}",
        ]
    )
    return word, draw.choice([[], ["--persist"], ["--persist-only"]])


@pytest.mark.parametrize("seed", range(4 if os.environ.get("PORTROOM_TESTS") == "full" else 1))
def test_undo_after_twenty_random_changes_restores_everything(seed):
    """
    As many undos as changes restore settings, files and modes exactly, step by step.
    """

    def job():
        """Change twenty times at random, then take each back."""
        reset()
        draw = random.Random(seed)
        hold("ip_local_reserved_ports", "50000-50010")
        states = [state()]
        while len(states) < 21:
            word, options = random_change(draw)
            ended = ask("set", word, "--force", *options)
            assert ended.status == 0, (word, options, ended)
            if state() != states[-1]:
                states.append(state())
        wrong = []
        for expected in reversed(states[:-1]):
            ended = ask("undo")
            if ended.status or state() != expected:
                wrong.append((ended, expected, state()))
        return wrong, ask("undo").status

    wrong, last = on_a_host(job)

    assert [] == wrong
    assert 4 == last


def test_a_plan_is_applied_only_to_what_it_was_made_from():
    """
    apply writes a plan once; with values that moved on, or a file edited by hand, it refuses.
    """

    def job():
        """Make plans, and let time pass."""
        made = ask("plan", "range=15000-64001", "--persist", "--out", "/run/plan")
        hold("ip_local_reserved_ports", "9000")
        hold("ip_local_port_range", "20000 60999")
        stale = ask("apply", "/run/plan")
        hold("ip_local_port_range", "32768 60999")
        fresh = ask("apply", "/run/plan")
        ask("undo")
        edited = Path("/run/plan").read_text().replace("15000 64001", "1024 65535")
        Path("/run/edited").write_text(edited)
        by_hand = ask("apply", "/run/edited")
        Path("/run/plan").unlink()
        ask("plan", "range=15000-64001", "--persist", "--out", "/run/plan")
        Path("/etc/sysctl.d/zzz.conf").write_text("net.ipv4.ip_local_port_range = 1024 2000\n")
        outrun = ask("apply", "/run/plan")
        return made, stale, fresh, by_hand, outrun, RANGE.read_text().split()

    made, stale, fresh, by_hand, outrun, held = on_a_host(job)

    assert 0 == made.status, made
    assert 4 == stale.status, stale
    assert "range is 20000-60999, and was 32768-60999" in stale.told
    assert 0 == fresh.status, fresh
    assert 4 == by_hand.status, by_hand
    assert 4 == outrun.status, outrun
    assert "/etc/sysctl.d/~portroom.conf would be written" in outrun.told
    assert ["32768", "60999"] == held


def test_a_file_that_decides_later_refuses_persist():
    """
    Where no name of ours wins, the file and line to change are named, and nothing is written.
    """

    def job():
        """Let a link to /etc/sysctl.conf come after every name."""
        line = "net.ipv4.ip_local_port_range = 1024 2000\n"
        (SYSCTL_D / "~~~~.conf").write_text(line)
        (SYSCTL_D / "\u7fff\u7fff.conf").write_text(f"# last\n{line}")
        before = state()
        return before, ask("set", "range=15000-64001", "--persist"), state()

    before, ended, after = on_a_host(job)

    assert before == after
    assert 4 == ended.status, ended
    assert ".conf:2" in ended.told, ended.told


def test_nobody_is_told_the_exact_line():
    """
    Without the right the sudo line is printed, with the path of the program; nothing is changed.
    """

    def job():
        """Ask as a user without any right."""
        open_ways()
        return as_nobody("set", "range=15000-64001"), RANGE.read_text().split()

    ended, held = on_a_host(job)

    assert ["32768", "60999"] == held
    assert 4 == ended.status, ended
    assert "Run: sudo /" in ended.told, ended.told
    assert "set range=15000-64001" in ended.told, ended.told


def test_cap_net_admin_is_enough():
    """
    A user with CAP_NET_ADMIN alone changes the range, and takes it back.
    """

    def job():
        """Change as uid 1000 with one capability."""
        open_ways()
        Path("/run/home").mkdir(mode=0o755)
        os.chown("/run/home", 1000, 1000)
        command = [
            "setpriv", "--reuid=1000", "--regid=1000", "--clear-groups",
            "--inh-caps=-all,+net_admin", "--ambient-caps=+net_admin", *COMMAND,
        ]  # fmt: skip
        home = {"HOME": "/run/home"}
        done = ask("set", "range=15000-64001", command=command, environment=home)
        held = RANGE.read_text().split()
        undone = ask("undo", command=command, environment=home)
        return done, held, undone, RANGE.read_text().split()

    done, held, undone, back = on_a_host(job)

    assert 0 == done.status, done
    assert ["15000", "64001"] == held
    assert 0 == undone.status, undone
    assert ["32768", "60999"] == back


def test_read_only_proc_sys():
    """
    In a container with a read-only /proc/sys nothing is changed; --persist-only writes the file.
    """

    def job():
        """Ask with /proc/sys read-only."""
        subprocess.run(["mount", "--bind", "/proc/sys", "/proc/sys"], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", "/proc/sys"], check=True)
        both = ask("set", "range=15000-64001", "--persist")
        files = list(SYSCTL_D.iterdir())
        alone = ask("set", "range=15000-64001", "--persist-only")
        return both, files, alone, len(list(SYSCTL_D.iterdir()))

    both, files, alone, kept = on_a_host(job)

    assert 4 == both.status, both
    assert "read-only" in both.told.lower(), both.told
    assert [] == files
    assert 0 == alone.status, alone
    assert 1 == kept


def test_an_expired_trial_is_taken_back_before_anything_is_planned():
    """
    A dry run and a reading command leave it, and say so or not; set takes it back and plans anew.
    """

    def job():
        """Let a trial expire of which nobody takes care."""
        tried = ask("set", "range=15000-64001", "--try-for", "10s")
        end_guardians()
        wait_until(lambda: "expired" in ask("settings", "range").told, "it expired", deadline_s=20)
        dry = ask("set", "tw_reuse=1", "--dry-run"), RANGE.read_text().split()
        wrong = ask("set", "nonsense=1"), RANGE.read_text().split()
        return tried, dry, wrong, ask("set", "range=20000-60001"), ask("journal", "-o", "json")

    tried, dry, wrong, done, journal = on_a_host(job)

    assert 0 == tried.status, tried
    assert (0, ["15000", "64001"]) == (dry[0].status, dry[1])
    assert (2, ["15000", "64001"]) == (wrong[0].status, wrong[1])
    assert 0 == done.status, done
    assert "entry 1 of the journal had not completed" in done.told
    assert "32768-60999" in done.answer
    assert ["done", "put_back"] == [one["phase"] for one in journal.json["entries"]]


def test_the_same_value_again_changes_nothing():
    """
    Asked for what holds already, set says so, and writes no entry.
    """

    def job():
        """Set the same twice."""
        first = ask("set", "range=15000-64001", "--persist")
        return first, ask("set", "range=15000-64001", "--persist"), ask("journal", "-o", "json")

    first, again, journal = on_a_host(job)

    assert 0 == first.status, first
    assert 0 == again.status, again
    assert 1 == len(journal.json["entries"])


def test_all_namespaces_need_a_yes():
    """
    --all-netns shows them, and without a terminal needs --yes; then each has the new value.
    """

    def job():
        """Add two namespaces and change all."""
        for name in ("red", "blue"):
            subprocess.run(["ip", "netns", "add", name], check=True)
        asked = ask("set", "range=15000-64001", "--all-netns")
        done = ask("set", "range=15000-64001", "--all-netns", "--yes")
        held = [
            subprocess.run(
                [*COMMAND, "settings", "range", "-o", "csv", *where],
                capture_output=True, text=True, check=False, env=CLEAN,
            ).stdout
            for where in ([], ["--netns", "red"], ["--netns", "blue"])
        ]  # fmt: skip
        undone = ask("undo")
        return asked, done, held, undone, RANGE.read_text().split()

    asked, done, held, undone, back = on_a_host(job)

    assert 2 == asked.status, asked
    assert 0 == done.status, done
    assert [True] * 3 == ["15000-64001" in one for one in held]
    assert 0 == undone.status, undone
    assert ["32768", "60999"] == back
