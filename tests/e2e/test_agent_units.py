"""The units of the daemon are in order, and may do no more than they say."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"
UNITS = PACKAGING / "systemd"
OPTIONAL = UNITS / "optional"
AGENT = "portroom-agent.service"
SOCKET = "portroom-agent.socket"

WORST_EXPOSURES = {(): 1.2, ("owners",): 2.1, ("netns",): 2.3, ("network",): 1.2}
"""What the drop-ins of one choice may cost: none is profile A, owners B, netns C."""

SYSTEMD_DIFFERS = 0.25
"""Its versions weigh alike, but know of more and more directives."""

NEWER_SYSTEMD = {"reload"}
"""Drop-ins that systemd 252 does not know."""


@pytest.fixture
def installed(tmp_path):
    """
    Return a function that installs the unit with some drop-ins in a folder, and names its file.

    The program is the one that is tested.
    """

    def install(*names):
        """Install the unit, its socket, and drop-ins."""
        program = str(Path(sys.executable).with_name("portroom"))
        text = (UNITS / AGENT).read_text()
        (tmp_path / AGENT).write_text(text.replace("/usr/bin/portroom", program))
        shutil.copy(UNITS / SOCKET, tmp_path)
        folder = tmp_path / f"{AGENT}.d"
        folder.mkdir()
        for name in names:
            shutil.copy(OPTIONAL / f"{name}.conf", folder)
        return tmp_path / AGENT

    return install


def analyzed(*words):
    """Return what systemd-analyze says, and fail if it fails."""
    done = subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def exposure(path):
    """Return how exposed a unit is: 0 not at all, 10 entirely."""
    said = analyzed("security", "--offline=true", "--no-pager", path)
    (number,) = re.findall(r"Overall exposure level for \S+: (\d+\.\d+)", said)
    return float(number)


@pytest.mark.parametrize("names", WORST_EXPOSURES, ids="+".join)
def test_it_is_in_order_and_exposed_no_more_than_it_says(installed, names):
    """systemd finds nothing wrong; what each profile costs stands in its file and its how-to."""
    path = installed(*names)
    exposed = exposure(path)

    assert "" == analyzed("verify", "--man=no", path)
    assert exposed <= WORST_EXPOSURES[names]


@pytest.mark.parametrize("name", ["", "owners", "netns"])
def test_what_is_said_is_what_is_measured(installed, name):
    """The figure in the comment of the file, but for what a version of systemd counts otherwise."""
    file = OPTIONAL / f"{name}.conf" if name else UNITS / AGENT
    said = re.findall(r'(?i)exposure.*? (\d\.\d), (?:still )?"OK"', file.read_text())

    assert abs(float(said[0]) - exposure(installed(*([name] if name else [])))) < SYSTEMD_DIFFERS


def test_the_socket_is_in_order(installed):
    """systemd finds nothing wrong with it, and it has the addresses of the daemon."""
    path = installed().with_name(SOCKET)
    streams = re.findall(r"(?m)^ListenStream=(.+)$", path.read_text())

    assert "" == analyzed("verify", "--man=no", path)
    assert ["127.0.0.1:9765", "[::1]:9765"] == streams


def test_every_drop_in_is_tried_here():
    """None is shipped whose price nobody measured."""
    assert {path.stem for path in OPTIONAL.iterdir()} == NEWER_SYSTEMD | {
        name for names in WORST_EXPOSURES for name in names
    }


def test_without_a_drop_in_it_has_no_capability():
    """Nothing of it may be written but its own folder, which is not the journal's."""
    text = (UNITS / AGENT).read_text()
    lines = set(text.splitlines())

    assert {"CapabilityBoundingSet=", "AmbientCapabilities=", "DynamicUser=yes"} <= lines
    assert {"ProtectSystem=strict", "StateDirectory=portroom-agent"} <= lines
    assert "ReadWritePaths" not in text


def test_only_the_trace_service_may_look_into_others_unasked():
    """No other unit of portroom has these rights, unless somebody puts a drop-in beside it."""
    able = [
        path.name
        for path in UNITS.glob("portroom-*")
        if re.search(r"(?m)^[^#].*CAP_SYS_(ADMIN|PTRACE)", path.read_text())
    ]

    assert ["portroom-trace.service"] == able


def test_it_is_of_the_group_that_may_read_the_counts():
    """The group is the one that sysusers makes, and the one of the trace service."""
    made = (PACKAGING / "sysusers.d/portroom-trace.conf").read_text()

    assert "\nSupplementaryGroups=portroom-trace\n" in (UNITS / AGENT).read_text()
    assert "\nGroup=portroom-trace\n" in (UNITS / "portroom-trace.service").read_text()
    assert re.search(r"(?m)^g portroom-trace - -$", made)
