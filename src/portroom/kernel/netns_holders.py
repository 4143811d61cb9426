"""
What holds a network namespace, told by its inode: a file that opens it.

Rules of this file:

- cheap places first: the caller itself, mounted names, processes, all mounts;
  only then every thread and every open file of every process;
- what ended while it was looked at holds nothing; what may not be looked at is
  an error only if nothing else was found.

Not seen: a namespace that only a socket keeps, or a mount elsewhere.

Source: namespaces(7), proc_pid_mountinfo(5).
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator

from portroom.errors import NotPermittedError
from portroom.kernel.files import PROC, read_text
from portroom.kernel.netns_names import RUN, nsfs_device
from portroom.kernel.processes import process_ids, read_netns_link, unlisted_processes
from portroom.kernel.rights import sudo_line

MOUNTINFO_BYTES = 16 << 20

OCTAL = re.compile(r"\\([0-7]{3})")
"""How mountinfo writes blanks, tabs, newlines and backslashes."""


def find_holder(inode: int, proc: str = PROC, run: str = RUN) -> str | None:
    """
    Return a file that opens the namespace of an inode, None where nothing holds it.

    Raises:
        NotPermittedError: Nothing was found, and not everything may be looked at.
    """
    search = _Search(inode, proc)
    places = itertools.chain(
        [f"{proc}/thread-self/ns/net"],
        search.names(run),
        search.processes(),
        search.mounts(),
        search.threads_and_files(),
    )
    found = next(filter(search.opens, places), None)
    if found is None and (search.barred or unlisted_processes(proc)):
        raise NotPermittedError(
            "Whether a network namespace still exists cannot be told: "
            "not all processes may be looked at, which needs CAP_SYS_PTRACE.",
            f"Run: {sudo_line()}",
        )
    return found


class _Search:
    """A search for one inode; ``barred`` says that something may not be looked at."""

    def __init__(self, inode: int, proc: str) -> None:
        self._proc = proc
        self._target = (nsfs_device(), inode)
        self._link = f"net:[{inode}]"
        self.barred = False

    def opens(self, path: str) -> bool:
        """Say whether a file is the namespace."""
        try:
            status = os.stat(path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._target

    def names(self, run: str) -> Iterator[str]:
        """Yield the names that are mounted in *run*."""
        return (f"{run}/{name}" for name in self._list(run))

    def processes(self) -> Iterator[str]:
        """Yield the namespaces of processes that are this one."""
        folders = (f"{self._proc}/{pid}" for pid in process_ids(self._proc))
        return self._linked(f"{folder}/ns/net" for folder in folders)

    def mounts(self) -> Iterator[str]:
        """Yield the mounts of this process that are this namespace."""
        try:
            table = read_text(f"{self._proc}/self/mountinfo", MOUNTINFO_BYTES)
        except OSError:
            return
        for line in table.splitlines():
            # 36 35 0:4 net:[4026532000] /run/docker/netns/x rw - nsfs nsfs rw
            words = line.split(" ")
            if len(words) > 4 and words[3] == self._link:
                yield OCTAL.sub(lambda match: chr(int(match[1], 8)), words[4])

    def threads_and_files(self) -> Iterator[str]:
        """Yield what threads are in, and what processes have open, that is this namespace."""
        for pid in process_ids(self._proc):
            folder = f"{self._proc}/{pid}"
            yield from self._linked(
                f"{folder}/task/{thread}/ns/net" for thread in self._list(f"{folder}/task")
            )
            yield from self._linked(f"{folder}/fd/{name}" for name in self._list(f"{folder}/fd"))

    def _linked(self, links: Iterator[str]) -> Iterator[str]:
        """Yield those links that lead to the namespace."""
        for link in links:
            try:
                if read_netns_link(link) == self._link:
                    yield link
            except PermissionError:
                self.barred = True
            except OSError:
                continue

    def _list(self, folder: str) -> list[str]:
        """Return the names in a folder, none where it is missing."""
        try:
            return os.listdir(folder)
        except PermissionError:
            self.barred = True
        except OSError:
            pass
        return []
