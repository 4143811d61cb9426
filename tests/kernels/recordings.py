"""Put what a guest recorded into ``tests/replay/data``, and tell there which kernels it holds.

Rules of this file:

- nothing is replaced unless what comes is whole, and agrees with its manifest;
- there is one recording a series: a new one takes the place of the old.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from tests.replay.recordings import DATA, Recording, disagreements, version

RELEASE = re.compile(r"\d+\.\d+\.\d+")

TABLE = re.compile(r"^\| folder \|.*?\n(?=\n)", re.DOTALL | re.MULTILINE)
"""The table of kernels in the README, without the empty line after it."""

HEAD = (
    "| folder | kernel | sockets that are only bound | port comes back once its bound owner left |\n"
    "| --- | --- | --- | --- |\n"
)


def place(results: Path, release: str, data: Path = DATA) -> Path:
    """
    Put a recording into the place of that of the same series, and return its folder.

    Args:
        results: The files that ``tests.kernels.guest.record`` wrote.
        release: The version of the kernel, as ``6.1.195``.
        data: Where recordings are kept.

    Raises:
        ValueError: The recording is not whole, not of this kernel, or disagrees
            with its manifest.
    """
    if wrong := objections(results, release, data):
        raise ValueError(f"The recording of {release} is not kept:\n" + "\n".join(wrong))
    with tempfile.TemporaryDirectory(dir=data.parent) as beside:
        whole = shutil.copytree(results, Path(beside) / release)
        for old in of_series(release, data):
            shutil.rmtree(old)
        whole.rename(data / release)
    readme = data / "README.md"
    readme.write_text(with_table(readme.read_text("utf-8"), data), "utf-8")
    return data / release


def objections(results: Path, release: str, data: Path) -> list[str]:
    """Return in words why a recording cannot be kept; none if it can."""
    known = {path.name for path in data.glob("*/*")}
    if lacking := known - {path.name for path in results.iterdir()}:
        return [f"lacks {', '.join(sorted(lacking))}"]
    recorded = Recording(results)
    manifest = recorded.json("manifest.json")
    told = f"{manifest['kernel']} {manifest['version']}"
    if not RELEASE.fullmatch(release) or release not in told:
        return [f"recorded on {told!r}"]
    unknown = [name for name, value in recorded.json("features.json").items() if value is None]
    return [*disagreements(recorded), *(f"could not be asked: {name}" for name in unknown)]


def of_series(release: str, data: Path) -> list[Path]:
    """Return the recordings of the series that a kernel belongs to."""
    series = version(release)[:2]
    return [path for path in folders(data) if version(path.name)[:2] == series]


def folders(data: Path) -> list[Path]:
    """Return the folders of recordings, the oldest kernel first."""
    found = (path.parent for path in data.glob("*/manifest.json"))
    return sorted(found, key=lambda path: version(path.name))


def with_table(text: str, data: Path) -> str:
    """Return the text of the README with a table of the recordings that there are."""
    table = HEAD + "".join(row(Recording(path)) for path in folders(data))
    return TABLE.sub(lambda _: table, text)


def row(recorded: Recording) -> str:
    """Return the line of the table that tells of one recording."""
    bound = "listed" if recorded.features.bound_inactive_rows else "in no table"
    back = "yes" if recorded.features.bucket_forgets else "no"
    return (
        f"| {recorded.kernel} | {recorded.json('manifest.json')['kernel']} | {bound} | {back} |\n"
    )
