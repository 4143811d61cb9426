"""The flight recorder: the Snapshots around every crossing of a threshold.

Rules of this file:

- the one before is kept in memory, since it cannot be taken afterwards; it is packed
  only when it is written, as a sample shall cost nothing more;
- what is taken at a crossing, and after it, is a whole one; the one before has what
  its sample asked for;
- a crossing counts in both directions, downwards only from well below, and the same
  one not again for a while: what swings around a threshold fills no disk;
- the files are numbered in the order of writing, the oldest go first, and the clock
  has no say in that;
- nothing here raises: sampling goes on.
"""

from __future__ import annotations

import contextlib
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from portroom.errors import PortroomError
from portroom.history.state_folder import write_state
from portroom.model.facts.codec import encode
from portroom.model.facts.config import Recorder
from portroom.model.facts.sample import Instant
from portroom.model.facts.snapshot import Gap, NetnsId, Snapshot

HYSTERESIS_RATIO = 0.05
"""How far below a threshold an occupancy has to fall before it is below."""

SAME_AGAIN_S = 3600.0
"""How long the same crossing of the same namespace is not recorded once more."""

LARGEST_KEPT_BYTES = 8 << 20
"""Of all namespaces together, by estimate; what is more is not kept."""

SOCKET_BYTES, GROUP_BYTES = 6, 300
"""A port takes 2 bytes, a remaining time 4; a group a key of 71, a list or an array."""

MOST_NAMESPACES = 1000

LONGEST_NAME = 60

FILE_NAME = re.compile(r"([0-9]{8})-.*\.snapshot")

BEFORE, ABOVE, BELOW, AFTER = "before", "above", "below", "after"


class _Seen(msgspec.Struct):
    """
    What is known of one namespace.

    ``band`` is how many thresholds are reached, None until that is known. ``before``
    is the Snapshot before, None once it is written or where it takes too much room.
    ``left`` are those still to be written after a crossing; ``recorded`` when each was last.
    """

    band: int | None = None
    before: Snapshot | None = None
    before_bytes: int = 0
    before_at: Instant | None = None
    left: int = 0
    recorded: dict[tuple[int, int], Instant] = msgspec.field(default_factory=dict)


class FlightRecorder:
    """
    Keeps Snapshots of one host in a folder.

    Args:
        folder: Where; it is made with the first file.
        config: How many, and how much. It may be exchanged.
    """

    def __init__(self, folder: str, config: Recorder) -> None:
        self.config = config
        self.trouble = ""
        """Why the last file could not be written; "" if it could."""
        self._folder = folder
        self._seen: dict[tuple[str, int], _Seen] = {}
        self._kept_bytes = 0

    def offer(
        self,
        snapshot: Snapshot,
        occupancy_ratio: float | None,
        thresholds: tuple[float, ...],
        now: Instant,
        whole: Callable[[], Snapshot] | None = None,
    ) -> tuple[str, ...]:
        """
        Return the files written because of a Snapshot, most often none.

        Args:
            snapshot: What was just read of one namespace.
            occupancy_ratio: Of its tightest key, None where that is not known.
            thresholds: Ratios whose crossing is recorded.
            now: When it was read.
            whole: Reads all of that namespace, for what is to be written; None where
                the Snapshot is all.
        """
        if not self.config.enabled:
            self._seen.clear()
            self._kept_bytes = 0
            return ()
        seen = self._of(snapshot.netns)
        wanted = tuple(_wanted(seen, occupancy_ratio, sorted(set(thresholds)), now, self.config))
        taken = _whole(snapshot, whole) if wanted else snapshot
        written = [
            file for what in wanted if (file := self._keep(seen, what, taken, now)) is not None
        ]
        self._remember(seen, None if wanted else snapshot, now)
        return tuple(written)

    def is_awaiting(self, netns: NetnsId) -> bool:
        """
        Say whether a Snapshot is to be written even if nothing is above a threshold.

        That is so where something was, and for those after a crossing.
        """
        seen = self._seen.get(_place(netns))
        return seen is not None and bool(seen.band or seen.left)

    def _of(self, netns: NetnsId) -> _Seen:
        """Return what is known of a namespace; of those that are gone it is forgotten."""
        place = _place(netns)
        seen = self._seen.pop(place, None) or _Seen()
        self._seen[place] = seen
        while len(self._seen) > MOST_NAMESPACES:
            gone = self._seen.pop(next(iter(self._seen)))
            self._kept_bytes -= gone.before_bytes
        return seen

    def _remember(self, seen: _Seen, snapshot: Snapshot | None, now: Instant) -> None:
        """Keep a Snapshot for what may come, if there is room in memory; None for none."""
        self._kept_bytes -= seen.before_bytes
        size_bytes = 0 if snapshot is None else _size_bytes(snapshot)
        fits = self._kept_bytes + size_bytes <= LARGEST_KEPT_BYTES
        seen.before, seen.before_bytes = (snapshot, size_bytes) if fits else (None, 0)
        seen.before_at = now
        self._kept_bytes += seen.before_bytes

    def _keep(self, seen: _Seen, what: str, taken: Snapshot, now: Instant) -> str | None:
        """Write one file, after making room for it; return its path, None if it failed."""
        is_before = what == BEFORE
        snapshot = (seen.before if is_before else None) or taken
        when = (seen.before_at if is_before else None) or now
        content, netns = encode(snapshot), snapshot.netns
        try:
            number = self._make_room(len(content))
            if number is None:
                self.trouble = f"a Snapshot of {len(content)} bytes is over the limit"
                return None
            name = f"{number:08d}-{when.at:%Y%m%dT%H%M%SZ}-{_plain(netns.name)}-{what}.snapshot"
            write_state(self._folder, name, content)
        except OSError as error:
            self.trouble = f"{self._folder}: {error.strerror or error}"
            return None
        self.trouble = ""
        return f"{self._folder}/{name}"

    def _make_room(self, size_bytes: int) -> int | None:
        """
        Remove the oldest files until one more fits, and return its number, None if none would.

        Raises:
            OSError: The folder cannot be read, or a file not be removed.
        """
        if size_bytes > self.config.most_bytes or not self.config.keep:
            return None
        files = self._files()
        used = sum(size for _, _, size in files)
        number = files[-1][0] + 1 if files else 1
        while files and (
            len(files) >= self.config.keep or used + size_bytes > self.config.most_bytes
        ):
            _, name, size = files.pop(0)
            Path(self._folder, name).unlink()
            used -= size
        return number

    def _files(self) -> list[tuple[int, str, int]]:
        """
        Return number, name and size of each file, the oldest first.

        Raises:
            OSError: The folder cannot be read.
        """
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                match = FILE_NAME.fullmatch(entry.name)
                if match and entry.is_file(follow_symlinks=False):
                    size = entry.stat(follow_symlinks=False).st_size
                    found.append((int(match[1]), entry.name, size))
        return sorted(found)


def _place(netns: NetnsId) -> tuple[str, int]:
    """Return what tells a namespace from all others."""
    return netns.name, netns.cookie or netns.inode


def _whole(snapshot: Snapshot, whole: Callable[[], Snapshot] | None) -> Snapshot:
    """Return all of a namespace, or what there is of it where that cannot be read now."""
    try:
        return snapshot if whole is None else whole()
    except (PortroomError, OSError):
        return snapshot


def _size_bytes(snapshot: Snapshot) -> int:
    """Return about how much memory a Snapshot takes."""
    groups = snapshot.groups
    if isinstance(groups, Gap):
        return GROUP_BYTES
    tables = [table.ports for table in groups.tables]
    sockets = sum(sum(map(len, ports.values())) for ports in tables)
    return GROUP_BYTES * sum(map(len, tables)) + SOCKET_BYTES * sockets


def _wanted(
    seen: _Seen,
    ratio: float | None,
    thresholds: Sequence[float],
    now: Instant,
    config: Recorder,
) -> Iterator[str]:
    """Yield which files are to be written, in their order."""
    band = _band(seen.band, ratio, thresholds)
    before, seen.band = seen.band, band
    if band is not None and before is not None and band != before:
        crossing = (before, band)
        is_new = _is_over(seen.recorded.get(crossing), now)
        if is_new:
            seen.recorded[crossing] = now
            seen.left = config.after
            if seen.before is not None:
                yield BEFORE
            yield _word(before, band, thresholds)
            return
    if seen.left:
        seen.left -= 1
        yield AFTER


def _band(before: int | None, ratio: float | None, thresholds: Sequence[float]) -> int | None:
    """
    Return how many thresholds are reached; one that was stays so until well below.

    >>> [_band(2, ratio, (0.5, 0.8)) for ratio in (0.81, 0.79, 0.74, 0.2, None)]
    [2, 2, 1, 0, 2]
    """
    if ratio is None:
        return before
    reached = bisect_right(thresholds, ratio)
    if before is None or reached >= before:
        return reached
    return max(reached, min(before, bisect_right(thresholds, ratio + HYSTERESIS_RATIO)))


def _is_over(last: Instant | None, now: Instant) -> bool:
    """Say whether a crossing was long enough ago, or never in this boot."""
    return (
        last is None
        or last.boot_id != now.boot_id
        or not 0 <= now.uptime_s - last.uptime_s < SAME_AGAIN_S
    )


def _word(before: int, band: int, thresholds: Sequence[float]) -> str:
    """
    Return what was crossed, as a part of a name.

    >>> _word(0, 2, (0.5, 0.8)), _word(2, 1, (0.5, 0.8))
    ('above-80', 'below-80')
    """
    if band > before:
        return f"{ABOVE}-{thresholds[band - 1] * 100:.0f}"
    return f"{BELOW}-{thresholds[min(band, len(thresholds) - 1)] * 100:.0f}"


def _plain(name: str) -> str:
    r"""
    Return a name in letters that are harmless in any file name.

    >>> _plain("docker:3f2a/../\x1b[31m")
    'docker_3f2a_.._31m'
    """
    return re.sub(r"[^A-Za-z0-9._]+", "_", name)[:LONGEST_NAME].strip("_") or "_"
