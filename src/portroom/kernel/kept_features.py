"""Features that were asked and kept by somebody with more rights: `portroom features --keep`.

Some are found out in a network namespace that ends with the trial. A daemon without any
right may not make one; root asks for it, once in a boot.
"""

from __future__ import annotations

import os

import msgspec

from portroom.errors import KernelDataError, NotPermittedError
from portroom.kernel.features import read_features
from portroom.kernel.files import PROC, SAFELY, not_ours, read_up_to
from portroom.kernel.trials import read_boot_id
from portroom.model.facts.features import KeptFeatures
from portroom.model.facts.snapshot import Features
from portroom.model.facts.sysctl_files import FILE

LARGEST_BYTES = 1 << 16


def ask_features(proc: str = PROC) -> KeptFeatures:
    """
    Return what this kernel can do, to be kept for who may not ask.

    Args:
        proc: Where the proc file system is mounted.

    Raises:
        OSError: There is no proc file system.
    """
    return KeptFeatures(boot_id=read_boot_id(proc), features=read_features(proc))


def read_kept_features(path: str, proc: str = PROC) -> Features:
    """
    Return what was kept in this boot, by root or by this user.

    Args:
        path: The file.
        proc: Where the proc file system is mounted.

    Raises:
        OSError: It cannot be read.
        NotPermittedError: Others may write it: it is not believed.
        KernelDataError: It is no such file, or of another boot.
    """
    descriptor = os.open(path, SAFELY)
    try:
        trouble, hint = not_ours(os.fstat(descriptor), FILE, LARGEST_BYTES)
        if trouble:
            raise NotPermittedError(f"{path} {trouble}: it is not believed.", hint)
        content = read_up_to(descriptor, LARGEST_BYTES)
    finally:
        os.close(descriptor)
    try:
        kept = msgspec.json.decode(content, type=KeptFeatures)
    except msgspec.MsgspecError:
        raise KernelDataError(
            f"{path}: expected what `portroom features --keep` writes, got {content[:80]!r}."
        ) from None
    if kept.boot_id != read_boot_id(proc):
        raise KernelDataError(f"{path} is of another boot: `portroom features --keep` writes it.")
    return kept.features
