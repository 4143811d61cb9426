"""Fixtures of the replay tests: each kernel's recording in turn."""

import pytest

from tests.replay.recordings import KERNELS, recording


@pytest.fixture(params=KERNELS)
def recorded(request):
    """Return the recording of one kernel."""
    return recording(request.param)
