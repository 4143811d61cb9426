"""Archives that a kernel unpacks as its first file system: cpio in the format newc.

A kernel reads several of them one after the other, so what seldom changes is
packed once. They are not compressed: copying is faster than unpacking there.

Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

FOLDER = stat.S_IFDIR | 0o755
LINK = stat.S_IFLNK | 0o777
PROGRAM = stat.S_IFREG | 0o755
FILE = stat.S_IFREG | 0o644

END = "TRAILER!!!"
BLOCK_BYTES = 512


class Archive:
    """
    An archive that is being written; it appears under its name once it is whole.

    Args:
        path: Where it is to be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._half = path.with_name(f".{path.name}")
        self._folders: set[Path] = {Path()}
        self._number = 0

    def __enter__(self) -> Self:
        """Begin to write."""
        self._half.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._half.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the archive, or leave nothing of it."""
        with self._file:
            self._put(END, 0, b"")
            self._pad(BLOCK_BYTES)
        if kind is None:
            self._half.rename(self._path)
        else:
            self._half.unlink()

    def add(self, name: str | Path, content: bytes, mode: int = FILE) -> None:
        """Add one file, link or folder, and the folders that it lies in."""
        path = Path(name)
        for folder in reversed(path.parents):
            self._add_folder(folder)
        if stat.S_ISDIR(mode):
            self._add_folder(path)
        else:
            self._put(str(path), mode, content)

    def add_tree(
        self,
        root: Path,
        target: str = "",
        *,
        wanted: Callable[[Path], bool] = lambda _: True,
    ) -> None:
        """
        Add all files and links below a folder.

        Args:
            root: The folder.
            target: Where its contents lie in the archive.
            wanted: Says of a path relative to *root* whether it is added.
        """
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root)
            if not wanted(name):
                continue
            if path.is_symlink():
                self.add(target / name, str(path.readlink()).encode(), LINK)
            elif path.is_file():
                executable = path.stat().st_mode & stat.S_IXUSR
                self.add(target / name, path.read_bytes(), PROGRAM if executable else FILE)

    def _add_folder(self, folder: Path) -> None:
        """Add a folder, once."""
        if folder not in self._folders:
            self._folders.add(folder)
            self._put(str(folder), FOLDER, b"")

    def _put(self, name: str, mode: int, content: bytes) -> None:
        """Write one entry: thirteen numbers, the name, the content."""
        self._number += 1
        path = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        numbers = (self._number, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(path), 0)
        self._file.write(b"070701" + b"".join(b"%08x" % number for number in numbers) + path)
        self._pad(4)
        self._file.write(content)
        self._pad(4)

    def _pad(self, size: int) -> None:
        """Fill with zeros up to a multiple of *size*."""
        self._file.write(bytes(-self._file.tell() % size))
