"""What the pages say of the trace is what the code and the unit do."""

from __future__ import annotations

import re

import pytest

from portroom.api.verdicts import READ_AGAIN_S
from portroom.trace import instance, live, memory, perf_ring
from portroom.trace.publish import MODE
from tests.docs.pages import ROOT

THREATS = (ROOT / "docs/explanation/the-writer-and-its-threats.md").read_text()
STATE = (ROOT / "docs/reference/state-on-disk.md").read_text()
WATCH = (ROOT / "docs/how-to/watch-failures.md").read_text()
COMMAND = (ROOT / "docs/reference/commands/trace.md").read_text()
UNIT = (ROOT / "packaging/systemd/portroom-trace.service").read_text()


def test_how_much_of_a_process_is_read_is_told():
    """The longest address there is, and no byte more."""
    assert f"at most **{memory.LONGEST_ADDRESS_BYTES} bytes of the process's memory**" in THREATS
    assert f"**{perf_ring.STACK_BYTES} bytes**" in THREATS


def test_what_it_leaves_for_a_while_is_told():
    """Names of the instances, the memory that they take, the mode of the socket."""
    names = [f"`{instance.PREFIX}PID{ending}`" for ending in ("", "-before", "-names")]
    assert f"{names[0]}, {names[1]} and {names[2]}" in STATE
    assert f"{live.NAMES_KB} KiB for each processor for the names" in STATE
    assert f"Up to {live.TOTAL_KB // 1024} MiB of kernel memory each" in STATE
    assert perf_ring.TOTAL_BYTES == live.TOTAL_KB << 10
    assert f"0{MODE:o}" in STATE


def test_where_the_unit_serves_is_told():
    """Its socket, on both pages."""
    (path,) = re.findall(r"trace --serve (\S+)", UNIT)

    assert f"`{path}`" in STATE
    assert f"UNIX-CONNECT:{path}\n" in WATCH


@pytest.mark.parametrize("right", ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"])
def test_the_rights_of_the_unit_are_told(right):
    """All of them, on the page of threats and on that of the command."""
    (rights,) = re.findall(r"(?m)^CapabilityBoundingSet=(.*)$", UNIT)

    assert {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE"} == set(rights.split())
    assert right in THREATS.partition("## What trace sees")[2].partition("\n## ")[0]
    assert right in COMMAND


def test_how_often_a_namespace_is_looked_at_is_told():
    """Once a second at most."""
    assert READ_AGAIN_S == 1.0
    assert "looked at once a second at most" in COMMAND
