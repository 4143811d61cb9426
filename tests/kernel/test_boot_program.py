"""What boots this very machine, and what writes its sysctls, as other programs tell it."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from portroom.kernel.boot_program import read_boot_program
from portroom.kernel.boot_writers import read_boot_writers
from portroom.model.facts.settings import SETTINGS
from tests.kernel.harness import enter_new_namespace, in_namespace

CONNTRACK = "net.netfilter.nf_conntrack_max"


def own_version(*command):
    """
    Return the first number of what a program says of its version.
    """
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.search(r"(\d+(?:\.\d+)*)", told)[1].split(".")))


def call_myself(name):
    """
    Give this process another name.
    """
    Path("/proc/self/comm").write_text(name)


def test_the_program_of_this_host_is_what_process_1_allows():
    """
    systemd where process 1 is systemd, nothing where it is no init at all.
    """
    process_1 = Path("/proc/1/comm").read_text().strip()
    is_init = "init" in process_1 or process_1 in {"systemd", "runit", "busybox"}

    found = read_boot_program()

    assert ("systemd" == process_1) <= (
        "systemd" == found.program or "systemd-sysctl" in found.evidence
    )
    assert is_init or found.program is None
    assert is_init or repr(process_1) in found.evidence


@pytest.mark.parametrize(
    ("program", "path", "command"),
    [
        ("systemd", "/lib/systemd/systemd-sysctl", ["--version"]),
        ("procps", "/sbin/sysctl", ["--version"]),
    ],
)
def test_versions_are_those_that_the_programs_tell(program, path, command):
    """
    What is read from files is what the program says of itself, as far as it goes.
    """
    installed = read_boot_program().installed
    there = os.access(path, os.X_OK) and "busybox" not in os.path.realpath(path)

    assert there == (program in installed)
    if there and (version := installed[program]):
        told = own_version(path, *command)
        shared = min(len(told), len(version))

        assert told[:shared] == version[:shared]


def test_the_answer_takes_no_two_seconds():
    """
    This host, with all its processes and files, is answered at once.
    """
    begin = time.monotonic()
    read_boot_program()
    read_boot_writers([setting.key for setting in SETTINGS])

    assert 2.0 > time.monotonic() - begin


def test_a_running_kube_proxy_is_seen():
    """
    A process of that name in our network namespace is told for the table's limit.
    """

    def names():
        call_myself("kube-proxy")
        return [writer.name for writer in read_boot_writers([CONNTRACK]).writers]

    assert "kube-proxy" in in_namespace(names)


def test_a_kube_proxy_of_another_network_namespace_is_not_ours():
    """
    What runs in another network namespace writes its sysctls, not ours.
    """

    def names():
        ready, done = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            enter_new_namespace()
            call_myself("kube-proxy")
            os.write(ready[1], b"1")
            os.read(done[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
        found = [writer.name for writer in read_boot_writers([CONNTRACK]).writers]
        os.write(done[1], b"1")
        os.waitpid(pid, 0)
        return found

    assert "kube-proxy" not in in_namespace(names)
