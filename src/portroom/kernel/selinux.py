"""SELinux: whether it enforces, as its own file system says."""

from __future__ import annotations

from portroom.errors import KernelDataError
from portroom.kernel.files import read_below
from portroom.model.facts.sysctl_files import DANGLING, FILE, shown

ENFORCE = b"/sys/fs/selinux/enforce"

MODES = {b"1": "enforcing", b"0": "permissive"}

NUMBER_BYTES = 64


def read_selinux(root: bytes) -> str:
    """
    Return ``enforcing``, ``permissive``, or "" where there is no SELinux.

    Raises:
        KernelDataError: The file is there and tells neither.

    Source: Linux security/selinux/selinuxfs.c, sel_read_enforce.
    """
    found = read_below(root, ENFORCE, NUMBER_BYTES)
    if found.kind == DANGLING:
        return ""
    mode = MODES.get(found.content.strip())
    if mode is None:
        told = repr(shown(found.content)) if found.kind == FILE else f"a {found.kind}"
        raise KernelDataError(f"{shown(ENFORCE)}: expected 0 or 1, got {told}.")
    return mode
