"""
Boot other kernels in virtual machines, and run the tests of the kernel in each.

    ./run kernels [SERIES...]            5.10 6.1 6.12 6.x newest, or those that are named
    ./run kernels --laws [SERIES...]     only how ports are chosen and sockets are read, for CI
    ./run kernels --save                 and write what was found for docs/kernels.md
    ./run kernels --record [SERIES...]   renew the recordings that tests/replay reads

A kernel that cannot be fetched is skipped and named; REQUIRE=kernels makes that status 3.
Exit status: 0 all agree, 1 one does not, 2 wrong usage, 3 something that is needed is missing.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.kernels import boot, image, recordings, series, support
from tests.kernels.judge import Judged, judge

FOLDER = Path(os.environ.get("KERNELS_FOLDER") or image.ROOT / "build" / "kernels")
"""Everything that is fetched and made; what was fetched is not fetched again."""

FETCH = Path(__file__).parent / "fetch"
AT_ONCE = 2
"""Guests that run side by side: each keeps one processor busy."""

SETTINGS = (
    'sysctl.net.ipv4.ip_local_port_range="15000 64999" '
    'sysctl.net.ipv4.ip_local_port_range="20000 60999" '
    'sysctl.net.ipv4.ip_local_port_range="60999 20000" '
    "sysctl.net.ipv4.ip_local_reserved_ports=30000-30009,8080 "
    "sysctl.net/ipv4/tcp_fin_timeout=33 "
    '"sysctl.net.ipv4.tcp_max_tw_buckets=5000" '
    "sysctl.net.ipv4.tcp_max_orphans=4096 sysctl/net/ipv4.tcp_max_orphans=4_000 "
    "sysctl.net.ipv4.tcp_fastopen=0x3 sysctl.net.ipv4.tcp_fastopen=1,2 "
    "sysctl.net.ipv4.ip_autobind_reuse=1 sysctl.net.ipv4.ip_autobind_reuse=7 "
    'sysctl.net.ipv4.tcp_l3mdev_accept="1"x sysctl.net.ipv4.tcp_timestamps="0 " '
    "sysctl.net.ipv4.ip_unprivileged_port_start=30000 "
    "sysctl.net.ipv4.tcp_tw_reuse_delay=2000 sysctl.net.ipv4.ip_local_port_step_width=4 "
    "sysctl.net.netfilter.nf_conntrack_max=12345 sysctl.net.ipv4.no_such_thing=1 "
    "sysctl.net.ipv4.tcp_tw_reuse= -- sysctl.net.ipv4.tcp_tw_reuse=0"
)
"""Sysctls on every guest's command line: test_booted.py compares what became of them."""


class Fetched(NamedTuple):
    """One series, and the unpacked packages of its newest kernel."""

    series: str
    packages: tuple[Path, ...]


def main() -> int:
    """Fetch, boot, judge; return the exit status."""
    asked = parse(sys.argv[1:])
    if not shutil.which(boot.QEMU):
        say(f"{boot.QEMU} is missing; install qemu-system-x86.")
        return 3
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not lock():
        say(f"Another ./run kernels is at work in {FOLDER}; wait, or name another KERNELS_FOLDER.")
        return 3
    required = "kernels" in os.environ.get("REQUIRE", "").replace(",", " ").split()
    fetched, missing = fetch(asked.series)
    for name in missing:
        say(f"{name}: skipped, its kernel could not be fetched.")
    if missing and required:
        return 3
    archives = pack(fetched)
    judged = run_all(fetched, lambda one: run(one, archives, asked.job, asked.only))
    if asked.save:
        support.save(judged)
    return 1 if any(one.wrong for one in judged.values()) else 0


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return what is asked for; end with status 2 where a word is wrong."""
    parser = argparse.ArgumentParser(
        prog="./run kernels",
        description="Boot other kernels in virtual machines, and run the tests of the kernel in each.",
    )
    job = parser.add_mutually_exclusive_group()
    job.add_argument("--laws", dest="job", action="store_const", const="laws", default="tests")
    job.add_argument("--record", dest="job", action="store_const", const="record")
    parser.add_argument("--only", default="", metavar="CASE,...", help="run these files or cases")
    parser.add_argument("--save", action="store_true", help="write what was found for the docs")
    parser.add_argument("series", nargs="*", metavar="SERIES", help=", ".join(series.EVERY))
    asked = parser.parse_args(words)
    for word in asked.series:
        if not series.is_series(word):
            parser.error(f"{word!r} is no series; one is written as 6.1, 6.x or newest.")
    asked.series = asked.series or series.EVERY
    if asked.save and (asked.job != "tests" or asked.only):
        parser.error("--save goes with all tests: leave out --laws, --record and --only.")
    if asked.only and asked.job != "tests":
        parser.error("--only names the tests itself: leave out --laws and --record.")
    return asked


def lock() -> bool:
    """Keep every other run out of the folder until this process ends; say whether it could."""
    handle = os.open(FOLDER, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def fetch(wanted: Sequence[str]) -> tuple[list[Fetched], list[str]]:
    """Return the kernels of some series, each once, and the series that could not be fetched."""
    begun = time.monotonic()
    names = _fetch("names").split()
    fetched: dict[tuple[str, ...], Fetched] = {}
    missing = []
    for word in wanted:
        packages = series.newest(word, names)
        if packages and (packages in fetched or _fetches("kernel", *packages)):
            paths = tuple(FOLDER / "packages" / name for name in packages)
            fetched.setdefault(packages, Fetched(word, paths))
        else:
            missing.append(word)
    say(f"{len(fetched)} kernels are here after {time.monotonic() - begun:.0f} s.")
    return list(fetched.values()), missing


def pack(fetched: Sequence[Fetched]) -> tuple[Path, ...]:
    """
    Return the archives that every guest begins with.

    Raises:
        SystemExit: The programs of a guest cannot be fetched, or portroom not be built.
    """
    if not fetched:
        return ()
    target = FOLDER / "archives"
    if not (FOLDER / "programs").is_dir() and not _fetches("programs"):
        raise SystemExit(3)
    programs = target / "programs.cpio"
    if not programs.exists():
        programs = image.pack_programs(FOLDER / "programs", target)
    try:
        return programs, image.pack_site(target), image.pack_ours(target)
    except subprocess.CalledProcessError as error:
        say(f"pip ended with {error.returncode}; what it was asked: {' '.join(error.cmd)}")
        raise SystemExit(3) from None


def run_all(fetched: Sequence[Fetched], job: Callable[[Fetched], Judged]) -> dict[str, Judged]:
    """Return what was found on each kernel, some of them booted side by side."""
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        results = pool.map(job, fetched)
        return dict(zip([one.series for one in fetched], results, strict=True))
    except BaseException:
        # After Ctrl-C no other guest begins, and those that run end.
        pool.shutdown(wait=False, cancel_futures=True)
        boot.end_all()
        raise


def run(one: Fetched, archives: tuple[Path, ...], job: str, only: str) -> Judged:
    """Boot one kernel, say how it went, and return what was found."""
    results = FOLDER / "results" / one.series
    guest = boot.Guest(
        kernel=image.kernel_of(one.packages),
        archives=(*archives, image.pack_modules(one.packages, FOLDER / "archives")),
        job=job,
        settings=f"portroom.only={only} {SETTINGS}" if only else SETTINGS,
        results=results,
    )
    ended = boot.boot(guest)
    if job == "record":
        return recorded(one, results)
    judged = judge(results)
    say(f"{one.series}: {told(judged)}, {ended.seconds:.0f} s")
    for name, why in judged.wrong:
        say(f"{one.series}: {name}\n{why}")
    if not ended.sent:
        say(f"{one.series}: the console ended with\n{ended.last_words}")
    return judged


def recorded(one: Fetched, results: Path) -> Judged:
    """Put the recording of one guest into its place."""
    judged = judge(results)
    try:
        folder = recordings.place(results / "recording", judged.package.partition("-")[0])
    except (OSError, ValueError) as error:
        say(f"{one.series}: {error}")
        return judged._replace(wrong=(*judged.wrong, ("recording", str(error))))
    say(f"{one.series}: {folder.relative_to(image.ROOT)} is new.")
    return judged


def told(judged: Judged) -> str:
    """Return one kernel's result in words."""
    parts = [f"Linux {judged.package or 'unknown'}", f"{judged.passed} cases passed"]
    parts += [f"{number} left out for lack of {what}" for what, number in judged.lacks.items()]
    parts += [f"{number} {what}" for what, number in judged.counted.items()]
    parts += [f"{len(judged.wrong)} wrong"] if judged.wrong else []
    return ", ".join(parts)


def say(text: str) -> None:
    """Print at once: guests end minutes apart."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _fetch(*words: str) -> str:
    """Return what the fetching script prints; "" where it could not fetch."""
    verb, *names = words
    command = [str(FETCH), verb, str(FOLDER), *names]
    return subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True).stdout


def _fetches(*words: str) -> bool:
    """Say whether the fetching script could fetch."""
    verb, *names = words
    return subprocess.run([str(FETCH), verb, str(FOLDER), *names], check=False).returncode == 0


# Who ends this process ends its guests: they would go on for half an hour.
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
