"""Which tests a guest runs, and which modules are loaded before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = "tests/kernels/guest"
KERNEL = Path("tests/kernel")

BOOT_PROGRAMS = (
    "test_boot_program.py",
    "test_boot_rules.py",
    "test_boot_trees.py",
    "test_boot_tuned.py",
    "test_persist_boot.py",
)
"""These run systemd-sysctl and its like, which do the same on every kernel."""

LAWS = (
    "test_bind0.py",
    "test_blocked.py",
    "test_connect.py",
    "test_doubt.py",
    "test_explicit_bind.py",
    "test_features.py",
    "test_groups.py",
    "test_histories.py",
    "test_probe.py",
    "test_proc_net.py",
    "test_selection.py",
    "test_time_wait.py",
    "test_udp.py",
)
"""How ports are chosen, and how sockets are read: what differs between kernels."""


class Stage(NamedTuple):
    """
    Tests that run once some modules are loaded and others are not yet.

    ``modules`` are the names of those to load before; None loads all.
    """

    name: str
    modules: frozenset[str] | None
    tests: tuple[str, ...]


FALLBACKS = (
    Stage("without inet_diag", frozenset(), (f"{HERE}/test_without_inet_diag.py",)),
    Stage(
        "without udp_diag",
        frozenset({"inet_diag", "tcp_diag"}),
        (f"{HERE}/test_without_udp_diag.py",),
    ),
)
OWN = (f"{HERE}/test_booted.py", f"{HERE}/test_vrf.py")


def stages(job: str, only: tuple[str, ...] = ()) -> tuple[Stage, ...]:
    """
    Return the stages of a job, in their order.

    Args:
        job: ``laws``, or ``tests`` for all that tests/kernel has.
        only: Run these files or cases, and nothing else: those of a fallback in
            its own stage, the others with all modules.
    """
    if only:
        return tuple(_only(only))
    names = LAWS if job == "laws" else everything()
    return (*FALLBACKS, Stage("whole", None, (*OWN, *(str(KERNEL / name) for name in names))))


def _only(cases: tuple[str, ...]) -> Iterator[Stage]:
    """Yield the stages of some cases, each with its own modules."""
    left = list(cases)
    for stage in FALLBACKS:
        if own := tuple(case for case in left if case.partition("::")[0] in stage.tests):
            yield stage._replace(tests=own)
            left = [case for case in left if case not in own]
    if left:
        yield Stage("chosen", None, tuple(left))


def everything() -> list[str]:
    """Return the files of tests/kernel that ask the kernel and not a boot program."""
    found = sorted(path.name for path in KERNEL.glob("test_*.py"))
    return [name for name in found if name not in BOOT_PROGRAMS]
