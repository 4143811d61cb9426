"""`portroom explain` and `portroom doctor`, as commands: what they exit with, and what they print."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.change_host import SYSCTL_D, on_a_host
from tests.e2e.faults import (
    answered,
    as_nobody,
    ask,
    needs_root,
    open_ways,
    refused,
)
from tests.kernel.harness import (
    CLONE_NEWNET,
    in_namespace,
    set_up,
    unshare,
    wait_until,
    write_settings,
)
from tests.kernel.sockets import fill, listener

FIRST = ("127.0.0.1", 9000)
TO_FIRST, TO_SECOND = "127.0.0.1:9000", "127.0.0.1:9001"
TEN_PORTS = "40000 40009"
HUNDRED_PORTS = "40000 40099"
PLACEHOLDERS = ("ADDRESS", "PORT", "PID")


def full(job, **options):
    """Return what *job* returns where ten ports are held by ten connections to one server."""

    def begin():
        """Fill."""
        listener(*FIRST)
        fill(FIRST, **options)
        return job()

    return in_namespace(begin, ip_local_port_range=TEN_PORTS)


@pytest.mark.parametrize(
    "words",
    [["99"], ["EADDRNOTAVAIL"], ["Cannot assign requested address"], ["eaddrnotavail"]],
)
def test_an_error_is_taken_by_number_by_name_and_by_its_message(words):
    """The answer is the same, and answered is 0 although something is found."""
    ended = full(lambda: ask("explain", *words, "--remote", TO_FIRST, "-o", "json"))

    answered(ended, '"found"')
    assert ["key_full"] == ended.json["found"]
    assert (99, "EADDRNOTAVAIL") == (ended.json["errno"], ended.json["error"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["explain", "ECONNREFUSED"], "ECONNREFUSED"),
        (["explain", "12345"], "12345"),
        (["explain", "99", "--remote", "127.0.0.1"], "127.0.0.1"),
        (["explain", "99", "--pid", "4194304"], "4194304"),
        (["explain", "99", "--pid", "1", "--netns", "1"], "--pid"),
        (["doctor", "no_such_finding"], "no_such_finding"),
        (["doctor", "--for", "-1"], "-1"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_sentence(words, expected):
    """With exit status 2, and what was seen in it."""
    ended = ask(*words)

    assert 2 == ended.status
    assert expected in ended.told
    assert "Traceback" not in ended.told


def test_the_screen_begins_with_the_cause_and_ends_with_what_was_ruled_out():
    """As a tired engineer reads it: the answer first."""
    ended = full(lambda: ask("explain", "99", "--remote", TO_FIRST, environment={"COLUMNS": "80"}))

    lines = ended.answer.splitlines()
    assert lines[0].startswith("99 EADDRNOTAVAIL to 127.0.0.1:9000:")
    assert "10 ESTABLISHED" in ended.answer
    assert "docs/causes/key_full.md" in ended.answer
    assert lines.index("Not decided:") < lines.index("Ruled out:")


def commands_of(ended):
    """Return the commands of an answer that are whole, without a word to fill in."""
    rows = ended.json.get("causes") or ended.json["findings"]
    found = [row["command"] for row in rows]
    return [one for one in found if one and not any(word in one for word in PLACEHOLDERS)]


def run_as_printed(line):
    """Run one printed command, in a dry way where it would change something or not end."""
    words = shlex.split(line)
    if words[0] != "portroom":
        return shutil.which(words[0]) is not None
    if words[1] == "set" and "--dry-run" not in words:
        words = [*(word for word in words if word not in {"--try", "--persist"}), "--dry-run"]
    if words[1] == "trace":
        words += ["--duration", "1s"]
    return ask(*words[1:]).status == 0


@pytest.mark.parametrize("options", [{}, {"bind": ("127.0.0.1", 0)}])
def test_every_command_that_explain_and_doctor_print_works_as_printed(options):
    """None refers to an option that is not there, or is refused."""

    def job():
        """Ask everything, and run what is printed."""
        asked = [
            ask("explain", "-o", "json"),
            ask("explain", "99", "--remote", TO_FIRST, "-o", "json"),
            ask("explain", "99", "--remote", TO_SECOND, "-o", "json"),
            ask("explain", "98", "--from", "127.0.0.1:40003", "-o", "json"),
            ask("explain", "98", "--from", "127.0.0.1:9000", "-o", "json"),
            ask("doctor", "--for", "0", "-o", "json"),
        ]
        lines = dict.fromkeys(line for one in asked for line in commands_of(one))
        return {line: run_as_printed(line) for line in lines}

    worked = full(job, **options)

    assert worked
    assert [] == [line for line, is_good in worked.items() if not is_good]


def test_a_process_is_asked_about_from_inside_its_namespace():
    """From a namespace where nothing is wrong: and that it is another one is told."""

    def job():
        """Ask about a child that has a full key in a namespace of its own."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            unshare(CLONE_NEWNET)
            set_up("lo")
            write_settings(ip_local_port_range=TEN_PORTS)
            listener(*FIRST)
            fill(FIRST)
            os.write(writing, b"full")
            wait_until(lambda: False, "the parent ends it", deadline_s=60)
        os.read(reading, 4)
        there = ask("explain", "99", "--pid", str(child), "-o", "json")
        here = ask("explain", "99", "-o", "json")
        os.kill(child, 9)
        return there, here

    there, here = in_namespace(job)

    assert ["key_full", "other_namespace"] == there.json["found"]
    assert "key_full" not in here.json["found"]


def test_a_saved_snapshot_is_explained_and_diagnosed_as_it_was():
    """What is not in it is told, and nothing is asked of the running kernel."""

    def job():
        """Save, then ask the file."""
        path = f"/tmp/portroom-test-{os.getpid()}.snapshot"
        ask("snapshot", "--out", path)
        try:
            return (
                ask("explain", "99", "--remote", TO_FIRST, "--snapshot", path, "-o", "json"),
                ask("doctor", "--snapshot", path, "-o", "json"),
            )
        finally:
            Path(path).unlink()

    explained, diagnosed = full(job)

    assert ["key_full"] == explained.json["found"]
    assert "tight_key" in [one["name"] for one in diagnosed.json["findings"]]
    assert "conntrack_near_full" in diagnosed.json["unchecked"]


def test_strict_is_a_condition_0_1_or_3():
    """No finding, a finding, and a finding that could not be looked for."""

    def job():
        """Be at rest, then full."""
        names = ("tight_key", "same_parity")
        quiet = ask("doctor", "--strict", *names)
        listener(*FIRST)
        fill(FIRST)
        return quiet, ask("doctor", "--strict", *names), ask("doctor", *names)

    quiet, full_one, plain = in_namespace(job, ip_local_port_range="40000 40099")

    assert (0, 1, 0) == (quiet.status, full_one.status, plain.status)


@needs_root
def test_a_user_who_cannot_see_owners_is_not_told_that_nothing_is_wrong():
    """A program of root binds first: nobody cannot know, and --strict says so."""

    def job():
        """Ask as root and as nobody."""
        open_ways()
        listener(*FIRST)
        fill(FIRST, at_most=20, bind=("127.0.0.1", 0))
        words = ("doctor", "--strict", "bind_first")
        return ask(*words), as_nobody(*words), as_nobody("doctor", "-o", "json")

    root, nobody, every = in_namespace(job, ip_local_port_range=HUNDRED_PORTS)

    assert (1, 3) == (root.status, nobody.status)
    assert "bind_first" in every.json["unchecked"]
    assert "owners" in [gap["source"] for gap in every.json["gaps"]]


@needs_root
def test_files_and_namespaces_of_a_host_are_judged():
    """Drift, a conflict, two myths in a file, and a namespace that was left at the default."""

    def job():
        """Write files as people do, and start a container of a kind."""
        write_settings(ip_local_port_range="15000 64001")
        quiet = findings()
        container = subprocess.Popen(["unshare", "-n", "sleep", "60"])
        (SYSCTL_D / "50-tuning.conf").write_text(
            "net.ipv4.ip_local_port_range = 10000 60999\n"
            "net.ipv4.tcp_tw_recycle = 1\n"
            "net.ipv4.tcp_max_tw_buckets = 5000\n"
        )
        Path("/etc/sysctl.conf").write_text("net.ipv4.ip_local_port_range = 15000 65000\n")
        write_settings(tcp_max_tw_buckets=5000)
        wait_until(lambda: "untuned_namespace" in findings(), "the container is there")
        found = findings()
        container.kill()
        container.wait()
        return quiet, found

    quiet, found = on_a_host(job)

    expected = {"boot_conflict", "drift", "myth_tw_buckets", "myth_tw_recycle", "untuned_namespace"}
    assert {"drift"} == quiet & expected
    assert expected <= found


@needs_root
def test_the_ports_of_a_kubernetes_node_inside_of_the_range():
    """A process called kube-proxy, and a range that takes in 30000-32767."""

    def job():
        """Be a node, first with the default range."""
        shutil.copy("/bin/sleep", "/run/kube-proxy")
        proxy = subprocess.Popen(["/run/kube-proxy", "60"])
        wait_until(lambda: Path(f"/proc/{proxy.pid}/comm").read_text().strip() == "kube-proxy", "")
        before = findings()
        write_settings(ip_local_port_range="15000 64001")
        after = findings()
        proxy.kill()
        proxy.wait()
        return before, after

    before, after = on_a_host(job)

    assert "node_ports_in_range" not in before
    assert "node_ports_in_range" in after


def findings():
    """Return the names of the findings of the present host."""
    return {one["name"] for one in ask("doctor", "--for", "0", "-o", "json").json["findings"]}


def test_status_has_the_findings_and_the_way_to_more():
    """A line for each, the gravest first."""
    ended = full(lambda: ask("status", environment={"COLUMNS": "80"}))

    assert "Critical: 127.0.0.1:9000" in ended.answer
    assert "portroom doctor" in ended.answer


def test_a_myth_is_refused_by_name():
    """With the truth, what to do instead, and the page."""
    ended = ask("doctor", "tcp_tw_recycle")

    answered(ended, "4.12")
    assert "docs/findings/myth_tw_recycle.md" in ended.answer


def test_a_namespace_that_is_gone_is_one_sentence():
    """Neither command has a traceback for it."""
    for words in (["explain", "99"], ["doctor"]):
        refused(ask(*words, "--netns", "no-such-namespace"), 2, "no-such-namespace")
