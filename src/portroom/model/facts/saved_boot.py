"""What decides at the next boot, to its saved form and back."""

from __future__ import annotations

from portroom.model.facts.boot import BootFacts
from portroom.model.facts.document import RawText, SavedBoot, SavedSysctlFile, SavedUnseen
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sysctl_files import (
    CREDENTIAL,
    DIRECTORIES,
    FILE,
    KINDS,
    LARGE,
    SYSCTL_CONF,
    SysctlFile,
    SysctlTree,
    Unseen,
)

MOST_CONTENT_BYTES = 256 << 10
"""All sysctl files of a host are about 10 KB; a Snapshot is to stay small enough to send."""


def save_boot(facts: BootFacts, most_bytes: int = MOST_CONTENT_BYTES) -> SavedBoot:
    """
    Return the saved form, without the contents of the largest files if they are too many.

    Args:
        facts: What was read.
        most_bytes: The most that all contents together may have. A file beyond
            counts as too large to be read, as it would where it lies.
    """
    files = within(facts.tree.files, most_bytes)
    left_out = sum(one.kind != file.kind for one, file in zip(files, facts.tree.files, strict=True))
    reason = f"the contents of {left_out} files are left out: {most_bytes} bytes at most are kept"
    gaps = (Gap("sysctl files", reason, ("persisted", "drift")),) if left_out else ()
    return SavedBoot(
        program=facts.program,
        writers=facts.writers,
        tuned=facts.tuned,
        files=[
            SavedSysctlFile(RawText(one.path), one.kind, RawText(one.content), RawText(one.link))
            for one in files
        ],
        unseen=[SavedUnseen(RawText(one.path), one.reason) for one in facts.tree.unseen],
        root=facts.root,
        gaps=facts.gaps + gaps,
    )


def within(files: tuple[SysctlFile, ...], most_bytes: int) -> list[SysctlFile]:
    """Return files whose contents fit together, the smallest first to stay."""
    left, kept = most_bytes, list(files)
    for place in sorted(range(len(files)), key=lambda place: len(files[place].content)):
        left -= len(files[place].content)
        if left < 0:
            kept[place] = files[place]._replace(kind=LARGE, content=b"")
    return kept


def load_boot(saved: SavedBoot) -> BootFacts:
    """
    Return what a file holds.

    Raises:
        ValueError: A kind or a place of a file is none that is ever read.
    """
    return BootFacts(
        program=saved.program,
        writers=saved.writers,
        tuned=saved.tuned,
        tree=SysctlTree(
            tuple(map(_load_file, saved.files)),
            tuple(Unseen(one.path.raw, one.reason) for one in saved.unseen),
        ),
        root=saved.root,
        gaps=saved.gaps,
    )


def _load_file(saved: SavedSysctlFile) -> SysctlFile:
    """Return one name in a directory again."""
    file = SysctlFile(saved.path.raw, saved.kind, saved.content.raw, saved.link.raw)
    credential = file.name == CREDENTIAL and file.directory.isascii()
    if file.directory not in DIRECTORIES and file.path != SYSCTL_CONF and not credential:
        raise ValueError(f"no place of sysctl files: {str(saved.path)[:40]!r}")
    if file.kind not in KINDS or (file.content and file.kind != FILE):
        raise ValueError(f"no kind of file: {file.kind[:40]!r}")
    return file
