"""The recorder tells the truth about the running kernel."""

import json
import os

import pytest

from portroom.kernel.features import read_features
from tests.kernels.guest.record import main
from tests.replay.recordings import DATA, KERNELS, Recording

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can make sockets of another user"
)


@pytest.fixture
def recorded(tmp_path, netns):  # noqa: ARG001 - it says whether namespaces are allowed
    """Return a recording of the running kernel, each row of which is a socket of its manifest."""
    assert main(tmp_path) == 0
    return Recording(tmp_path)


def test_a_recording_has_the_files_of_the_others(recorded):
    """What is kept of any kernel is there, and no more."""
    kept = {path.name for path in (DATA / KERNELS[-1]).iterdir()}

    assert kept == {path.name for path in recorded.folder.iterdir()}


def test_a_recording_has_the_members_of_the_others(recorded):
    """Names in JSON are what the tests of tests/replay read, whatever the kernel."""
    for name in ("manifest.json", "features.json", "sysctl.json", "index.json"):
        kept = json.loads((DATA / KERNELS[-1] / name).read_text())

        assert set(kept) == set(recorded.json(name))


def test_a_recording_tells_what_this_kernel_can_do(recorded):
    """What it can do is what portroom finds out when it asks."""
    assert read_features() == recorded.features
