"""Around each crossing the Snapshots are there, and nothing fills the disk."""

import re
import stat
from pathlib import Path

import msgspec
import pytest

from portroom.errors import InvalidRequestError
from portroom.history import recorder as module
from portroom.history.recorder import FlightRecorder
from portroom.kernel.saved_file import read_snapshot
from portroom.model.facts.config import Recorder
from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import NetnsId, Settings, Snapshot
from tests.unit.made_history import HOST, instant

THRESHOLDS = (0.5, 0.8, 0.95)


def snapshot(now, number=0, netns=HOST):
    """Return a Snapshot that is told from others by its range."""
    values = {"net.ipv4.ip_local_port_range": PortRange(32768, 60000 + number)}
    return Snapshot(
        host="web1", boot_id=now.boot_id, taken_at=now.at, netns=netns, settings=Settings(values)
    )


def fly(recorder, *ratios, begin_s=0, step_s=10, netns=HOST):
    """Offer a Snapshot for each ratio, and return what was written for each."""
    written = []
    for place, ratio in enumerate(ratios):
        now = instant(begin_s + place * step_s)
        files = recorder.offer(snapshot(now, place, netns), ratio, THRESHOLDS, now)
        written.append([name_of(one) for one in files])
    return written


def names_in(folder):
    """Return the names of what a folder holds, sorted."""
    return sorted(one.name for one in folder.iterdir())


def name_of(path):
    """Return of a file's name what is no number and no time."""
    return re.sub(r"^[0-9]{8}-[0-9T]+Z-", "", Path(path).name).removesuffix(".snapshot")


@pytest.fixture
def recorder(tmp_path):
    """Return a recorder with a folder that is not there yet."""
    return FlightRecorder(f"{tmp_path}/recorded", Recorder(after=2))


def test_the_one_before_the_crossing_and_those_after(recorder, tmp_path):
    """Each answers again, as it was."""
    written = fly(recorder, 0.1, 0.2, 0.85, 0.86, 0.87, 0.88)

    assert [
        [], [], ["host-before", "host-above-80"], ["host-after"], ["host-after"], [],
    ] == written  # fmt: skip
    files = sorted((tmp_path / "recorded").iterdir())
    ranges = [read_snapshot(str(one)).settings.ephemeral.last - 60_000 for one in files]

    assert [1, 2, 3, 4] == ranges
    assert {0o600} == {stat.S_IMODE(one.stat().st_mode) for one in files}
    assert 0o700 == stat.S_IMODE((tmp_path / "recorded").stat().st_mode)


def test_both_directions_count(recorder):
    """Downwards once it is well below."""
    written = fly(recorder, 0.85, 0.79, 0.76, 0.74, 0.3, 0.2)

    assert [
        [], [], [], ["host-before", "host-below-80"], ["host-below-50"], ["host-after"],
    ] == written  # fmt: skip


def test_what_swings_around_a_threshold_is_recorded_once(recorder, tmp_path):
    """An hour of swinging is a few files."""
    fly(recorder, *[0.85, 0.7] * 180)

    assert len(names_in(tmp_path / "recorded")) <= 2 * (2 + 2)

    before = set(names_in(tmp_path / "recorded"))
    fly(recorder, *[0.81, 0.79] * 180, begin_s=36_000)

    assert len(set(names_in(tmp_path / "recorded")) - before) <= 4


def test_what_is_not_known_is_no_crossing(recorder):
    """Below half nobody looked, and the band stays what it was."""
    assert [[]] * 4 == fly(recorder, 0.85, None, None, 0.86)


def test_the_first_sample_is_no_crossing(recorder):
    """A daemon that starts at 99 % has seen none."""
    assert [[], []] == fly(recorder, 0.99, 0.99)


def test_namespaces_do_not_mix(recorder):
    """Each has its own one before."""
    web = NetnsId("../../e\x1b[31mvil", 7, 9, "named")

    fly(recorder, 0.1)
    fly(recorder, 0.2, netns=web)

    assert ["host-before", "host-above-50"] == fly(recorder, 0.6)[0]
    assert [".._.._e_31mvil-before", ".._.._e_31mvil-above-95"] == fly(recorder, 0.96, netns=web)[0]


def test_the_oldest_go(tmp_path):
    """By number, whatever the clock says; other files stay."""
    recorder = FlightRecorder(str(tmp_path), Recorder(keep=3, after=5))
    (tmp_path / "notes.txt").write_text("mine")
    fly(recorder, 0.1, 0.6, 0.6, 0.6, 0.6)
    first = names_in(tmp_path)
    again = FlightRecorder(str(tmp_path), Recorder(keep=3, after=5))
    for clock_off_s in (0, -86_400):
        now = instant(1000, clock_off_s=clock_off_s)
        again.offer(snapshot(now), 0.1 if not clock_off_s else 0.9, THRESHOLDS, now)

    left = names_in(tmp_path)

    assert [3, 4, 5] == [int(name[:8]) for name in first[:3]]
    assert [5, 6, 7] == [int(name[:8]) for name in left[:3]]
    assert "notes.txt" == left[-1]


def test_no_more_bytes_than_allowed(tmp_path):
    """One that alone is too large is not written, and that is told."""
    recorder = FlightRecorder(str(tmp_path), Recorder(after=0, most_bytes=900))

    fly(recorder, 0.1, 0.6, 0.1, 0.9, 0.1, 0.96)
    used = sum(one.stat().st_size for one in tmp_path.iterdir())
    recorder.config = Recorder(after=0, most_bytes=10)
    written = fly(recorder, 0.1, 0.6, begin_s=90_000)

    assert 0 < used <= 900
    assert [[], []] == written
    assert "over the limit" in recorder.trouble


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path):
    """The reason is told, and it goes on once it can be."""
    (tmp_path / "recorded").write_text("in the way")
    recorder = FlightRecorder(f"{tmp_path}/recorded", Recorder())
    failed = fly(recorder, 0.1, 0.6)
    trouble = recorder.trouble
    (tmp_path / "recorded").unlink()
    written = fly(recorder, 0.6, begin_s=20)

    assert ([[], []], [["host-after"]]) == (failed, written)
    assert str(tmp_path) in trouble
    assert "" == recorder.trouble


def test_off_is_off(tmp_path):
    """Nothing is kept in memory either, and turning it on begins anew."""
    recorder = FlightRecorder(str(tmp_path), Recorder(enabled=False))
    fly(recorder, 0.1, 0.9)
    recorder.config = Recorder()

    assert [[], ["host-before", "host-above-80"]] == fly(recorder, 0.1, 0.9)


def test_what_is_written_of_a_crossing_is_all_of_the_namespace(recorder):
    """The one before has what its sample asked for; those from the crossing on have all."""
    now = instant(0)
    whole = snapshot(now, 99)
    for ratio in (0.1, 0.6, 0.6):
        files = recorder.offer(snapshot(now), ratio, THRESHOLDS, now, lambda: whole)
        taken = [read_snapshot(file) for file in files]
        assert {0.1: [], 0.6: [whole]}[ratio] == taken[-1:]


def test_where_no_more_can_be_read_what_was_read_is_kept(recorder):
    """A namespace may be gone just then."""
    now = instant(0)
    recorder.offer(snapshot(now), 0.1, THRESHOLDS, now)

    def gone():
        """Find nothing any more."""
        raise InvalidRequestError("It is gone.")

    _, crossing = recorder.offer(snapshot(now, 7), 0.6, THRESHOLDS, now, gone)
    assert snapshot(now, 7) == read_snapshot(crossing)


def test_a_snapshot_too_large_is_not_kept_for_what_may_come(recorder, monkeypatch):
    """Then the crossing itself is the first."""
    monkeypatch.setattr(module, "LARGEST_KEPT_BYTES", 10)

    assert [[], ["host-above-50"]] == fly(recorder, 0.1, 0.6)


def test_memory_is_bounded_however_many_namespaces_come(recorder, monkeypatch):
    """Containers come and go; what they left is forgotten."""
    monkeypatch.setattr(module, "MOST_NAMESPACES", 5)
    for number in range(50):
        fly(recorder, 0.1, netns=NetnsId(f"c{number}", number, number, "container"))

    assert 5 == len(recorder._seen)
    assert sum(one.before_bytes for one in recorder._seen.values()) == recorder._kept_bytes > 0


def test_a_boot_begins_anew(recorder):
    """After a restored guest the same crossing counts again."""
    fly(recorder, 0.1, 0.6)
    now = instant(15)
    other = msgspec.structs.replace(now, boot_id="other")
    recorder.offer(snapshot(now), 0.1, THRESHOLDS, now)

    assert ["host-above-50"] == [
        name_of(one) for one in recorder.offer(snapshot(other), 0.6, THRESHOLDS, other)
    ]
