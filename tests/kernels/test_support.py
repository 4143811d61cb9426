"""What guests found becomes the table of the docs."""

from __future__ import annotations

import json

import pytest

from tests.kernels import support
from tests.kernels.judge import Judged

OLD = Judged(
    release="5.10.0-46-cloud-amd64",
    package="5.10.262-1",
    passed=1050,
    lacks={"a thing": 3},
    counted={"histories": 15, "comparisons": 360},
    features={"bucket_forgets": "no", "vrf": "yes"},
    wrong=(),
)
NEW = OLD._replace(package="7.3.4-1~bpo13+1", features={"bucket_forgets": "yes"}, lacks={})


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Return where results are kept for this test."""
    monkeypatch.setattr(support, "SAVED", tmp_path / "kernels.json")
    return tmp_path / "kernels.json"


def test_kernels_that_agree_are_kept_in_the_order_of_their_versions(saved):
    """The newest of a series takes the place of the one before."""
    support.save({"newest": NEW, "5.10": OLD._replace(package="5.10.1-1")})
    support.save({"5.10": OLD})

    kept = json.loads(saved.read_text())

    assert ["5.10", "7.3"] == list(kept)
    assert "5.10.262-1" == kept["5.10"]["package"]
    assert "Proven on Linux 5.10 and 7.3.\n" == support.tested_kernels()


def test_a_kernel_that_does_not_agree_is_not_kept(saved):
    """What was known of it before stays."""
    support.save({"5.10": OLD})
    support.save({"5.10": OLD._replace(passed=1, wrong=(("a", "b"),))})

    assert 1050 == json.loads(saved.read_text())["5.10"]["passed"]
    assert "Proven on Linux 5.10.\n" == support.tested_kernels()


@pytest.mark.usefixtures("saved")
def test_the_table_has_a_column_a_kernel_and_a_row_a_feature():
    """What one of them was not asked is unknown, and what was left out is told."""
    support.save({"5.10": OLD, "newest": NEW})

    lines = support.kernel_table().splitlines()

    assert "|  | Linux 5.10 | Linux 7.3 |" == lines[0]
    assert "| rule of the bind bucket | sticky | forgets |" in lines
    assert "| `vrf` | yes | unknown |" in lines
    assert "| cases passed | 1,050 | 1,050 |" in lines
    assert "- Linux 5.10: 3 for lack of a thing" == lines[-1]
