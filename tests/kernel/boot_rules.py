"""The rules by which boot programs read sysctl files: what all of them have in common.

Rules of this file:

- a row is one rule: the files, and what each program leaves in one sysctl, from
  which line, and what becomes of every line that names it;
- what is expected is written out by hand, from the documents of the programs and
  from trying, never from the law that it is compared with;
- the differences are in ``boot_differences``, the row itself in ``boot_row``.
"""

from __future__ import annotations

from tests.kernel.boot_row import (
    ETC,
    LIB,
    LINE,
    LOCAL,
    OTHER,
    RUN,
    USR,
    Rule,
    both,
    file,
    folder,
    link,
    says,
    special,
    stays,
)
from tests.kernel.boot_trees import RANGE, RESERVED, REUSE, START

A = f"{ETC}/50-a.conf"
B = f"{USR}/50-a.conf"

APPLIED_AND_MASKED = ("applied", "masked")

ORDER = (
    Rule(
        "sorted over all directories",
        (file(f"{ETC}/10-a.conf", LINE), file(f"{USR}/99-z.conf", OTHER)),
        both(says("16000 64000", f"{USR}/99-z.conf:1", "overridden", "applied")),
    ),
    Rule(
        "sorted as bytes, not as numbers",
        (file(f"{ETC}/100-a.conf", LINE), file(f"{ETC}/20-a.conf", OTHER)),
        both(says("16000 64000", f"{ETC}/20-a.conf:1", "overridden", "applied")),
    ),
    Rule(
        "capitals before small letters",
        (file(f"{ETC}/50-a.conf", LINE), file(f"{ETC}/50-B.conf", OTHER)),
        both(says("15000 64000", f"{ETC}/50-a.conf:1", "overridden", "applied")),
    ),
    Rule(
        "the dot of .conf is part of the name",
        (file(f"{ETC}/50-a.conf", LINE), file(f"{ETC}/50-a-b.conf", OTHER)),
        both(says("15000 64000", f"{ETC}/50-a.conf:1", "overridden", "applied")),
    ),
    Rule(
        "a name that is no UTF-8 comes last",
        (file(b"/etc/sysctl.d/\xff.conf", LINE), file(f"{ETC}/~z.conf", OTHER)),
        both(says("15000 64000", f"{ETC}/\\xff.conf:1", "overridden", "applied")),
    ),
    Rule(
        "a line end in a name",
        (file(f"{ETC}/a\nb.conf", LINE), file(f"{ETC}/a.conf", OTHER)),
        both(says("16000 64000", f"{ETC}/a.conf:1", "overridden", "applied")),
    ),
    Rule(
        "the last line of a file",
        (file(A, LINE, OTHER),),
        both(says("16000 64000", f"{A}:2", "overridden", "applied")),
    ),
    Rule(
        "a last line without an end",
        (file(A, raw=LINE.encode()),),
        both(says("15000 64000", f"{A}:1", "applied")),
    ),
)

HIDING = (
    *(
        Rule(
            f"{first} hides {second}",
            (file(f"{second}/50-a.conf", OTHER), file(f"{first}/50-a.conf", LINE)),
            both(says("15000 64000", f"{first}/50-a.conf:1", *APPLIED_AND_MASKED)),
        )
        for first, second in ((ETC, RUN), (RUN, LOCAL), (LOCAL, USR))
    ),
    Rule(
        "a folder /lib of its own: /usr/lib hides it, systemd 257 does not read it",
        (file(f"{LIB}/50-a.conf", OTHER), file(f"{USR}/50-a.conf", LINE)),
        {
            "systemd": {
                (247,): says("15000 64000", f"{B}:1", "applied", "masked"),
                (257,): says("15000 64000", f"{B}:1", "applied", "unread"),
            },
            "procps": says("15000 64000", f"{B}:1", "applied", "masked"),
        },
        split_usr=True,
    ),
    Rule(
        "a folder /lib of its own is read, by systemd until 257",
        (file(f"{LIB}/50-a.conf", LINE),),
        {
            "systemd": {
                (247,): says("15000 64000", f"{LIB}/50-a.conf:1", "applied"),
                (257,): stays("unread"),
            },
            "procps": says("15000 64000", f"{LIB}/50-a.conf:1", "applied"),
        },
        split_usr=True,
    ),
    Rule(
        "whole files are hidden, whatever is in them",
        (file(A, f"{REUSE} = 1"), file(B, LINE)),
        both(stays("masked")),
    ),
    Rule("an empty file hides", (file(A), file(B, LINE)), both(stays("masked"))),
    Rule("/dev/null hides", (link(A, "/dev/null"), file(B, LINE)), both(stays("masked"))),
    Rule(
        "a relative link to /dev/null hides",
        (link(A, "../../dev/null"), file(B, LINE)),
        both(stays("masked")),
    ),
    Rule("a link to nowhere hides", (link(A, "/nowhere"), file(B, LINE)), both(stays("masked"))),
    Rule("a folder hides", (folder(A), file(B, LINE)), both(stays("masked"))),
    Rule("a socket hides", (special(A, "socket"), file(B, LINE)), both(stays("masked"))),
    Rule(
        "a loop of links hides, until systemd 262",
        (link(A, "50-a.conf"), file(B, LINE)),
        {
            "systemd": {
                (247,): stays("masked"),
                (262,): says("15000 64000", f"{B}:1", "applied"),
            },
            "procps": stays("masked"),
        },
    ),
    Rule(
        "a link to a file is read in its own place",
        (link(f"{ETC}/10-a.conf", "/opt/x"), file("/opt/x", LINE), file(f"{ETC}/05-b.conf", OTHER)),
        both(says("15000 64000", f"{ETC}/10-a.conf:1", "overridden", "applied")),
    ),
    Rule(
        "a link that climbs above the root stays below it",
        (link(A, "../../../../opt/x"), file("/opt/x", LINE)),
        both(says("15000 64000", f"{A}:1", "applied")),
    ),
    *(
        Rule(f"{name} does not end in .conf", (file(f"{ETC}/{name}", LINE),), both(stays("unread")))
        for name in ("README", "50-a", "50-a.conf.bak", "50-a.conf~", "50-a.CONF", "50-a.conf ")
    ),
)

LINES = (
    *(
        Rule(f"a comment: {mark}", (file(A, f" {mark} {LINE}"),), both(stays()))
        for mark in ("#", ";")
    ),
    Rule(
        "no comment behind a value",
        (file(A, f"{LINE} # wide"),),
        both(says("15000 64000", f"{A}:1", "applied")),
    ),
    Rule(
        "a comment behind a value that the kernel does not overlook",
        (file(A, f"{RESERVED} = 8080 # proxy"),),
        both(says("", "", "refused")),
        key=RESERVED,
    ),
    *(
        Rule(
            f"no quotes: {quote}",
            (file(A, f"{RANGE} = {quote}15000 64000{quote}"),),
            both(stays("refused")),
        )
        for quote in ('"', "'")
    ),
    Rule(
        "no continuation",
        (file(A, f"{RANGE} = \\", " 15000 64000", f"{REUSE} = 1"),),
        both(stays("refused")),
    ),
    Rule(
        "blanks around everything",
        (file(A, f" \t{RANGE}\t =  15000\t64000 \t"),),
        both(says("15000 64000", f"{A}:1", "applied")),
    ),
    Rule(
        "a second = is part of the value",
        (file(A, f"{RANGE} == 15000 64000"),),
        both(stays("refused")),
    ),
    Rule(
        "slashes",
        (file(A, "net/ipv4/ip_local_port_range = 15000 64000"),),
        both(says("15000 64000", f"{A}:1", "applied")),
    ),
    Rule(
        "the first separator decides: a dot, so a slash is part of a name",
        (file(A, "net.ipv4/ip_local_port_range = 15000 64000"),),
        both(stays()),
    ),
    Rule(
        "the first separator decides: a slash, so a dot is part of a name",
        (file(A, "net/ipv4.ip_local_port_range = 15000 64000"),),
        both(stays()),
    ),
    Rule(
        "the path is no key",
        (file(A, "/proc/sys/net/ipv4/ip_local_port_range = 15000 64000"),),
        both(stays("broken")),
    ),
    Rule(
        "-KEY = VALUE is KEY",
        (file(A, f"-{LINE}"),),
        both(says("15000 64000", f"{A}:1", "applied")),
    ),
    Rule(
        "a colon is no equals sign",
        (file(A, f"{RANGE}: 15000 64000"),),
        both(stays("broken")),
    ),
    Rule(
        "nor is a blank",
        (file(A, f"{RANGE} 15000 64000"),),
        both(stays("broken")),
    ),
    Rule(
        "braces alone are no pattern",
        (file(A, "net.ipv4.{ip_local_port_range,tcp_tw_reuse} = 15000 64000"),),
        both(stays("broken")),
    ),
    Rule(
        "a word behind -KEY makes it another key",
        (file(A, LINE, f"-{RANGE} off"),),
        both(says("15000 64000", f"{A}:1", "applied", "broken")),
    ),
    Rule(
        "a missing key does not end the file",
        (file(A, "net.ipv4.no_such_key = 1", "no setting", "= 5", LINE),),
        both(says("15000 64000", f"{A}:4", "applied")),
    ),
    Rule(
        "a refused key does not end the file",
        (file(A, f"{REUSE} = x", LINE),),
        both(says("15000 64000", f"{A}:2", "applied")),
    ),
    Rule(
        "a mark of the byte order spoils the first key",
        (file(A, raw=b"\xef\xbb\xbf%b\n" % LINE.encode()),),
        both(stays("broken")),
    ),
    Rule(
        "a comment that is no UTF-8",
        (file(A, raw=b"# \xff\xfe\n%b\n" % LINE.encode()),),
        both(says("15000 64000", f"{A}:2", "applied")),
    ),
    Rule(
        "a zero byte ends the line, or what is seen of it",
        (file(A, raw=b"%b\0 5\n" % LINE.encode()),),
        both(says("15000 64000", f"{A}:1", "applied")),
    ),
    Rule(
        "behind a zero byte stands another line, or nothing",
        (file(A, raw=b"%b\0%b\n" % (LINE.encode(), OTHER.encode())),),
        {
            "systemd": says("16000 64000", f"{A}:1", "overridden", "applied"),
            "procps": says("15000 64000", f"{A}:1", "applied"),
        },
    ),
)

VALUES = (
    Rule("low above high", (file(A, f"{RANGE} = 64000 15000"),), both(stays("refused"))),
    Rule(
        "octal",
        (file(A, f"{RANGE} = 015000 064000"),),
        both(says("6656 26624", f"{A}:1", "applied")),
    ),
    Rule(
        "hexadecimal",
        (file(A, f"{RANGE} = 0x3a98 0xfa00"),),
        both(says("15000 64000", f"{A}:1", "applied")),
    ),
    Rule(
        "one number over the default",
        (file(A, f"{RANGE} = 15000"),),
        both(says("15000 60999", f"{A}:1", "applied")),
    ),
    Rule(
        "an empty value clears a list, not with procps 3.3.17",
        (file(A, f"{RESERVED} = 8080", f"{RESERVED} ="),),
        {
            "systemd": says("", f"{A}:2", "overridden", "applied"),
            "procps": {
                (3,): says("8080", f"{A}:1", "applied", "broken"),
                (4,): says("", f"{A}:2", "overridden", "applied"),
            },
        },
        key=RESERVED,
    ),
    Rule(
        "an empty value is no range",
        (file(A, f"{RANGE} ="),),
        {"systemd": stays("refused"), "procps": {(3,): stays("broken"), (4,): stays("refused")}},
    ),
    Rule(
        "the kernel makes ports canonical",
        (file(A, f"{RESERVED} = 9001-9003,8080,9000,8080"),),
        both(says("8080,9000-9003", f"{A}:1", "applied")),
        key=RESERVED,
    ),
    Rule(
        "the start of privileged ports may not stand above the range",
        (file(A, f"{START} = 32769"),),
        both(says("1024", "", "refused")),
        key=START,
    ),
)

COMMON = (*ORDER, *HIDING, *LINES, *VALUES)

HANGING = tuple(
    Rule(
        f"a {kind}",
        (special(A, kind), file(B, LINE), file(f"{ETC}/60-b.conf", OTHER)),
        both(says("16000 64000", f"{ETC}/60-b.conf:1", "applied", "masked")),
    )
    for kind in ("FIFO", "device")
)
"""Trees with which a real program never ends; the law says what it would do with an empty file."""
