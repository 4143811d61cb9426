"""What the next boot gives, for tests: made in few words, and anything at all."""

from __future__ import annotations

from hypothesis import strategies as some

from portroom.model.facts.boot import (
    AFTER,
    KERNEL_COMMAND_LINE,
    TUNED,
    BootFacts,
    BootProgram,
    BootWriter,
    Tuned,
)
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sysctl_files import (
    DIRECTORIES,
    FILE,
    LARGE,
    NULL,
    SYSCTL_CONF,
    UNREADABLE,
    SysctlFile,
    SysctlTree,
    Unseen,
)

ADVICE = b"net.ipv4.ip_local_port_range = 15000 65000\n"
"""What an article puts into a file of its own, after it wrote 15000 64000 to the kernel."""

HOSTILE_NAME = b"\x1b[31m\xff\n\\x41\xe2\x80\xae.conf"


def program(name: str | None = "systemd", *version: int, evidence: str = "made up") -> BootProgram:
    """Return the program that boots; systemd of version 252 unless said otherwise."""
    numbers = version or (252,)
    return BootProgram(
        program=name,
        version=numbers if name else None,
        evidence=evidence,
        installed={} if name is None else {name: numbers},
    )


def boot(
    files: dict[bytes, bytes | SysctlFile] | None = None,
    *,
    by: BootProgram | None = None,
    writers: tuple[BootWriter, ...] = (),
    unseen: tuple[Unseen, ...] = (),
    gaps: tuple[Gap, ...] = (),
) -> BootFacts:
    """
    Return what was read of the next boot.

    Args:
        files: Content by path, or a whole SysctlFile.
        by: The program; systemd where none is named.
        writers: What else sets sysctls.
        unseen: What was not looked into.
        gaps: What else is missing.
    """
    found = tuple(
        one if isinstance(one, SysctlFile) else SysctlFile(path, FILE, one)
        for path, one in (files or {}).items()
    )
    return BootFacts(
        program=by or program(), writers=writers, tree=SysctlTree(found, unseen), gaps=gaps
    )


FULL = boot(
    {
        b"/etc/sysctl.d/50-a.conf": b"# by alice\n\xff\r\x00net.ipv4.tcp_tw_reuse = 1\n" + ADVICE,
        b"/etc/sysctl.d/" + HOSTILE_NAME: b"net.ipv4.ip_local_port_range = 16000 65000\n",
        b"/etc/sysctl.d/99-sysctl.conf": SysctlFile(
            b"/etc/sysctl.d/99-sysctl.conf", FILE, b"", b"../sysctl.conf"
        ),
        b"/usr/lib/sysctl.d/60-b.conf": SysctlFile(b"/usr/lib/sysctl.d/60-b.conf", NULL),
        SYSCTL_CONF: b"",
    },
    writers=(
        BootWriter(
            kind=KERNEL_COMMAND_LINE,
            name="sysctl.net.ipv4.tcp_fin_timeout",
            key="net.ipv4.tcp_fin_timeout",
            value="30",
            file="/proc/cmdline",
            line=1,
            when="before the boot program",
            sentence="The kernel command line sets it.",
        ),
        BootWriter(
            kind=TUNED,
            name="acme-profile",
            key="net.ipv4.tcp_tw_reuse",
            value="0",
            file="/etc/tuned/acme-profile/tuned.conf",
            line=7,
            when=AFTER,
            sentence="The profile acme-profile sets it.",
        ),
    ),
    unseen=(Unseen(b"/run/sysctl.d", "cannot be listed: Permission denied"),),
    gaps=(Gap("/etc/tuned", "could not be read", ("keys",)),),
)
FULL_WITH_TUNED = BootFacts(
    program=FULL.program,
    writers=FULL.writers,
    tuned=Tuned(version=(2, 20), starts=True, profiles=("acme-profile",), reapplies=True),
    tree=FULL.tree,
    gaps=FULL.gaps,
)

NAMES = some.one_of(
    some.builds(
        bytes.__add__, some.binary(max_size=6), some.sampled_from([b"", b".conf", b".conf"])
    ),
    some.sampled_from([b"50-a.conf", b"60-b.conf", b".x.conf", b"-.conf", b"README", HOSTILE_NAME]),
).filter(lambda name: not set(b"/\0") & set(name) and name not in {b"", b".", b".."})

LINES = some.one_of(
    some.binary(max_size=30),
    some.sampled_from(
        [
            ADVICE,
            b"# a comment of alice",
            b"; another",
            b"  #indented",
            b"kernel.hostname = acme",
            b"net.ipv4.ip_local_reserved_ports = 8080,9000-9100",
            b"net/ipv4/tcp_tw_reuse=1 # why",
            b"-net.ipv4.tcp_fin_timeout = 30",
            b"net.ipv4.* = 1",
            b"-net.ipv4.tcp_tw_reuse",
            b"-net.ipv4.tcp_tw_reuse off",
            b"net.ipv4.{tcp_tw_reuse,acme} = 1",
            b"net.ipv4.tcp_tw_reuse: 1 # why",
            b"net.ipv4.tcp_tw_reuse = secret",
            b"net/alice/../ipv4/tcp_tw_reuse = 1",
            b"-net/bobby/../ipv4/tcp_tw_reuse = 0",
            b"net.carol.//.ipv4.tcp_tw_reuse = 0",
            b"net/fs/../ipv4/tcp_tw_reuse = 0",
            b"net/ipv4/../ipv4/tcp_fin_timeout = 50",
            b"net/alice/../ipv4/tcp_tw_* = 1",
            b"'alice/../net/ipv4/tcp_tw_reuse' 1",
            b"net/a*/../ipv4/tcp_tw_reuse = 1",
            b"\x1c\rnet.ipv4.tcp_fin_timeout = 20",
            b"\xc2\xa0\rnet.ipv4.tcp_fin_timeout = 20",
            b"=net.ipv4.tcp_fin_timeout = 40",
            b"\r",
            b"",
        ]
    ),
)


@some.composite
def any_tree(draw: some.DrawFn) -> SysctlTree:
    """Draw sysctl files with any names and lines, each path once."""
    kinds = some.sampled_from([FILE, FILE, FILE, NULL, LARGE, UNREADABLE])
    paths = draw(
        some.lists(
            some.builds(
                lambda folder, name: folder + b"/" + name, some.sampled_from(DIRECTORIES), NAMES
            ),
            unique=True,
            max_size=5,
        )
    )
    paths += draw(some.sampled_from([[], [SYSCTL_CONF]]))
    files = []
    for path in paths:
        kind = draw(kinds)
        ends = draw(some.sampled_from([b"\n", b"\r\n", b"\r"]))
        content = ends.join(draw(some.lists(LINES, max_size=6))) if kind == FILE else b""
        files.append(SysctlFile(path, kind, content, draw(some.sampled_from([b"", b"../x"]))))
    return SysctlTree(tuple(files))


def any_boot() -> some.SearchStrategy[BootFacts]:
    """Return a strategy for what may be read of the next boot."""
    programs = some.sampled_from(
        [
            program(),
            program("systemd", 257),
            program("procps", 4, 0, 4),
            program("procps", 3, 3, 17),
            program(None),
        ]
    )
    return some.builds(lambda by, tree: BootFacts(program=by, tree=tree), programs, any_tree())
