"""`portroom doctor` and the findings of `portroom status`, over all namespaces of a host."""

from __future__ import annotations

import subprocess

import pytest

from portroom.model.advice.findings.table import FINDINGS
from tests.e2e.change_host import on_a_host
from tests.e2e.faults import as_nobody, ask, needs_root, open_ways
from tests.kernel.harness import in_namespace, wait_until
from tests.kernel.sockets import fill, listener

BOOT_RULES = ("drift", "boot_conflict", "myth_tw_recycle", "myth_tw_buckets")
FIRST = ("127.0.0.1", 9000)


def namespaces(*words):
    """Return the answer for each namespace of this host."""
    return ask(*words, "--all-netns", "-o", "json").json["namespaces"]


def beside_a_container(job):
    """Return what *job* returns on a host on which a process has a network of its own."""

    def begin():
        """Start it, and wait until it is there."""
        container = subprocess.Popen(["unshare", "-n", "sleep", "60"])
        wait_until(lambda: len(namespaces("status")) == 2, "it is there")
        try:
            return job(container.pid)
        finally:
            container.kill()
            container.wait()

    return on_a_host(begin)


@needs_root
def test_where_boot_files_decide_nothing_they_are_not_missed():
    """Neither with all namespaces nor with the container alone; both looked, and found nothing."""

    def job(pid):
        """Ask with the exit status as the answer, and then for what was looked at."""
        everywhere = ask("doctor", "--strict", "--all-netns", *BOOT_RULES)
        there = ask("doctor", "--strict", "--netns", str(pid), *BOOT_RULES)
        return everywhere, there, namespaces("doctor", "--for", "0")

    everywhere, there, every = beside_a_container(job)

    assert 0 == everywhere.status
    assert "No finding; 4 rules looked.\n" in everywhere.answer
    assert 0 == there.status
    assert {"drift"} == {"drift"}.intersection(*(one["checked"] for one in every))


@needs_root
def test_a_host_with_a_container_can_be_without_a_finding():
    """`--strict --all-netns` says 0 for every rule that can look on this machine."""

    def job(_):
        """Leave out what this machine does not let anybody see."""
        host, _ = namespaces("doctor", "--for", "0")
        names = [name for name in FINDINGS if name in host["checked"]]
        return host["unchecked"], ask("doctor", "--strict", "--all-netns", *names)

    missed, ended = beside_a_container(job)

    assert not set(BOOT_RULES) & set(missed)
    assert (0, "") == (ended.status, ended.told)


@needs_root
def test_status_tells_once_that_some_rules_need_more():
    """However many namespaces, and however many rules in each."""
    ended = beside_a_container(lambda _: ask("status", "--all-netns"))

    assert 1 == ended.answer.count("some rules need more, see portroom doctor")


@needs_root
@pytest.mark.parametrize("output", ["csv", "jsonl"])
def test_an_empty_table_is_no_clean_bill(output):
    """What could not be looked at is told beside, for there is no place for it inside."""

    def job():
        """Ask as somebody who may not see who binds first."""
        open_ways()
        listener(*FIRST)
        fill(FIRST, at_most=20, bind=("127.0.0.1", 0))
        return as_nobody("doctor", "bind_first", "-o", output)

    ended = in_namespace(job, ip_local_port_range="40000 40099")

    assert "40001" not in ended.answer
    assert "Not checked in full: bind_first." in ended.told
    assert "CAP_SYS_PTRACE" in ended.told


def test_the_help_fits_a_terminal():
    """Of 80 columns."""
    lines = ask("doctor", "--help", environment={"COLUMNS": "80"}).answer.splitlines()

    assert [] == [line for line in lines if len(line) > 80]
