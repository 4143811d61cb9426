"""Limits that have nothing to do with ports, and errnos that look alike."""

from __future__ import annotations

from collections.abc import Iterator

from portroom.model.advice.causes.pools import NEAR_FULL_RATIO
from portroom.model.advice.causes.table import (
    PROCESS_FILES,
    SYSTEM_FILES,
    TIMED_OUT,
    Advice,
    found,
    possible,
    ruled_out,
    unknown,
)
from portroom.model.advice.causes.words import (
    count,
    gap_words,
    owner_words,
    owners_words,
    percent,
    tool,
)
from portroom.model.facts.explanation import VERDICTS, Cause, ExplainQuestion
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import ProcessSeen, Scene
from portroom.model.facts.sockets import Protocol
from portroom.model.facts.surroundings import OpenFiles

FILES, UNIX, FIREWALL = "open_files", "unix_backlog_full", "firewall_refuses"


def open_files(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether the process or the system may open another file."""
    judged: list[Cause] = []
    if asked.error in (None, PROCESS_FILES):
        judged += _of_processes(scene)
    if asked.error in (None, SYSTEM_FILES):
        judged.append(_of_system(scene))
    return min(judged, key=lambda one: VERDICTS.index(one.verdict), default=None)


def _of_processes(scene: Scene) -> Iterator[Cause]:
    """Yield the verdict about the process asked about, or about those that were seen."""
    process = scene.process
    if isinstance(process, Gap):
        yield unknown(FILES, f"The process could not be looked at: {gap_words(process)}.")
        return
    if isinstance(process, ProcessSeen):
        files = process.open_files
        if isinstance(files, Gap):
            yield unknown(
                FILES,
                f"The open files of {owner_words(process.owner)} could not be counted: "
                f"{gap_words(files)}.",
            )
            return
        yield _of_process(files)
        return
    seen = scene.around.open_files
    if not seen:
        yield unknown(
            FILES,
            "The limit of open files (RLIMIT_NOFILE) is one of each process: name it with --pid.",
            f"portroom explain {PROCESS_FILES} --pid PID",
        )
        return
    tightest = min(seen, key=lambda one: one.limit - one.used)
    yield _of_process(tightest, many=True)


def _of_process(files: OpenFiles, *, many: bool = False) -> Cause:
    """Return the verdict about the open files of one process."""
    text = (
        f"{owner_words(files.owner)} has {files.used:,} of {files.limit:,} files open "
        f"(RLIMIT_NOFILE, {percent(files.used, files.limit)})"
    )
    numbers = {"open_files": files.used, "limit": files.limit, "pid": files.owner.pid}
    remedy = (
        "Raise the limit where the program is started (LimitNOFILE= in its unit, ulimit -n), or "
        "find out what it leaves open."
    )
    advice = Advice(remedy, f"ls -l /proc/{files.owner.pid}/fd")
    if files.used >= files.limit:
        return found(FILES, f"{text}: socket() fails with EMFILE.", advice, numbers)
    if files.used >= NEAR_FULL_RATIO * files.limit:
        return possible(FILES, f"{text}: a burst takes the rest.", advice, numbers)
    which = ", the fullest of the processes with connections that were seen" if many else ""
    return ruled_out(FILES, f"{text}{which}.", numbers)


def _of_system(scene: Scene) -> Cause:
    """Return the verdict about the open files of the whole system."""
    files = scene.files
    if isinstance(files, Gap):
        return unknown(
            FILES,
            f"How many files the system has open could not be read: {gap_words(files)}.",
            "sysctl fs.file-nr",
        )
    text = (
        f"The whole system has {files.used:,} of {files.limit:,} files open "
        f"(fs.file-max, {percent(files.used, files.limit)})"
    )
    numbers = {"open_files": files.used, "limit": files.limit}
    advice = Advice(
        "Raise fs.file-max, or find the process with most files open.", "sysctl fs.file-nr"
    )
    if files.used >= files.limit:
        text += ": socket() fails with ENFILE for all but root."
        return found(FILES, text, advice, numbers)
    if files.used >= NEAR_FULL_RATIO * files.limit:
        text += ": a burst takes the rest."
        return possible(FILES, text, advice, numbers)
    return ruled_out(FILES, f"{text}.", numbers)


def unix_backlog_full(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether a non-blocking connect() to a unix socket finds its backlog full."""
    if asked.protocol is not None:
        return None
    if asked.remote is not None:
        return ruled_out(UNIX, f"{asked.remote} is no unix socket.")
    if isinstance(scene.backlogs, Gap):
        return unknown(
            UNIX,
            f"The unix sockets could not be read: {gap_words(scene.backlogs)}.",
            tool(scene, "ss -xl"),
        )
    if not scene.backlogs:
        return ruled_out(UNIX, "No unix socket listens in this namespace.")
    one = max(scene.backlogs, key=lambda backlog: backlog.waiting - backlog.limit)
    numbers = {"waiting": one.waiting, "limit": one.limit}
    verb = "waits" if one.waiting == 1 else "wait"
    text = (
        f"{count(one.waiting, 'connection')} {verb} at the unix socket {one.path}, which takes "
        f"{one.limit:,}"
    )
    # Source: Linux net/unix/af_unix.c, unix_recvq_full: one more than the limit may wait.
    if one.waiting <= one.limit:
        return ruled_out(UNIX, f"{text}: there is room, and it is the fullest.", numbers)
    return found(
        UNIX,
        f"{text}: a non-blocking connect() gets EAGAIN. No port is to blame."
        f"{owners_words(one.owners)}",
        Advice(
            "The program does not accept() fast enough: see whether it hangs, give it more "
            "workers or a larger backlog (net.core.somaxconn is the most it may be).",
            tool(scene, "ss -xlp"),
        ),
        numbers,
    )


def firewall_refuses(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Say that rules are not read: whether one refuses is seen with other tools."""
    firewall = (
        ""
        if asked.protocol is Protocol.TCP
        else "from a firewall that drops what a UDP socket of this host sends, "
    )
    text = (
        f"Rules are not read here. EPERM comes {firewall}from a BPF program of a control group, "
        "or from a security module."
    )
    if asked.protocol is not Protocol.UDP:
        text += f" A TCP connect() whose SYN a firewall drops gets {TIMED_OUT} instead."
    if scene.around.selinux == "enforcing":
        text += " SELinux enforces here: its refusals are in the audit log (ausearch -m avc)."
    return unknown(FIREWALL, text, tool(scene, "nft list ruleset"))
