"""Trees of files for readers: a folder that stands for ``/``, made from a table."""

import os
from pathlib import Path
from typing import NamedTuple


class Link(NamedTuple):
    """A symbolic link to *target*, as written."""

    target: str


class Fifo(NamedTuple):
    """A FIFO that nobody writes to: who opens it to read waits for ever."""


def make_tree(root: Path, files: dict[str, str | bytes | Link | Fifo | None]) -> str:
    """
    Make files, links, FIFOs and (for None) folders below *root*; return its path.
    """
    for name, content in files.items():
        path = root / name.lstrip("/")
        (path if content is None else path.parent).mkdir(parents=True, exist_ok=True)
        match content:
            case Link(target):
                path.symlink_to(target)
            case Fifo():
                os.mkfifo(path)
            case str():
                path.write_text(content)
            case bytes():
                path.write_bytes(content)
    return os.fspath(root)
