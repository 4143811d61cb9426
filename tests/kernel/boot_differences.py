"""The rules by which boot programs differ, numbered as in docs/explanation/what-decides-at-boot.md.

Rules of this file: those of ``boot_rules``; the name of a row begins with its number.
"""

from __future__ import annotations

from tests.kernel.boot_row import (
    CONF,
    ETC,
    LINE,
    OTHER,
    USR,
    Rule,
    both,
    file,
    folder,
    link,
    says,
    stays,
)
from tests.kernel.boot_trees import RANGE, RESERVED, START

A = f"{ETC}/50-a.conf"

LONE_PORTS = [str(port) for port in range(2000, 5000, 2)]
"""A list of 1,500 ports that are no runs: 7,499 bytes, where one write takes 818 of them."""

MEBIBYTE = 1 << 20

FILES = (
    Rule(
        "1: /etc/sysctl.conf",
        (file(CONF, LINE), file(f"{ETC}/99-z.conf", OTHER)),
        {
            "systemd": says("16000 64000", f"{ETC}/99-z.conf:1", "applied", "unread"),
            "procps": says("15000 64000", f"{CONF}:1", "overridden", "applied"),
        },
    ),
    Rule(
        "1: the trap of the articles",
        (
            file(f"{ETC}/net.ipv4.ip_local_port_range.conf", f"{RANGE}=15000 65000"),
            file(CONF, f"{RANGE}=15000 64000"),
        ),
        {
            "systemd": says(
                "15000 65000",
                f"{ETC}/net.ipv4.ip_local_port_range.conf:1",
                "applied",
                "unread",
            ),
            "procps": says("15000 64000", f"{CONF}:1", "overridden", "applied"),
        },
    ),
    Rule(
        "1: a link to /etc/sysctl.conf is read in its own place, procps reads the file again",
        (
            file(CONF, LINE),
            link(f"{ETC}/99-sysctl.conf", "../sysctl.conf"),
            file(f"{ETC}/99-z.conf", OTHER),
        ),
        {
            "systemd": says("16000 64000", f"{ETC}/99-z.conf:1", "overridden", "applied", "unread"),
            "procps": says("15000 64000", f"{CONF}:1", "overridden", "overridden", "applied"),
        },
    ),
    Rule(
        "1: procps reads /etc/sysctl.conf where the link to it is masked",
        (
            file(CONF, LINE),
            link(f"{ETC}/99-sysctl.conf", "/dev/null"),
            link(f"{USR}/99-sysctl.conf", CONF),
        ),
        {
            "systemd": stays("masked", "unread"),
            "procps": says("15000 64000", f"{CONF}:1", "applied", "masked"),
        },
    ),
    Rule(
        "7: a hidden file",
        (file(f"{ETC}/.x.conf", LINE),),
        {"systemd": stays("unread"), "procps": says("15000 64000", f"{ETC}/.x.conf:1", "applied")},
    ),
    Rule(
        "7: .conf alone",
        (file(f"{ETC}/.conf", LINE),),
        {"systemd": stays("unread"), "procps": says("15000 64000", f"{ETC}/.conf:1", "applied")},
    ),
    Rule(
        "8: braces in the name of a file",
        (file(f"{ETC}/90-a.conf", LINE), file(f"{ETC}/90-{{a,b}}.conf", OTHER)),
        {
            "systemd": says("16000 64000", f"{ETC}/90-{{a,b}}.conf:1", "overridden", "applied"),
            "procps": says("15000 64000", f"{ETC}/90-a.conf:1", "applied", "unread"),
        },
    ),
    Rule(
        "8: a set in the name of a file",
        (file(f"{ETC}/50-[ab].conf", OTHER), file(f"{ETC}/50-a.conf", LINE)),
        {
            "systemd": says("15000 64000", f"{ETC}/50-a.conf:1", "overridden", "applied"),
            "procps": says("15000 64000", f"{ETC}/50-a.conf:1", "applied", "unread"),
        },
    ),
    Rule(
        "8: a star in the name of a file finds that file too",
        (file(f"{ETC}/5*.conf", OTHER), file(f"{ETC}/50-a.conf", LINE)),
        both(says("15000 64000", f"{ETC}/50-a.conf:1", "overridden", "applied")),
    ),
    Rule(
        "8: a pattern that finds nothing is a name",
        (file(f"{ETC}/90-{{x,y}}.conf", LINE),),
        both(says("15000 64000", f"{ETC}/90-{{x,y}}.conf:1", "applied")),
    ),
    Rule(
        "14: the credential",
        (file(A, OTHER),),
        {
            "systemd": {
                (247,): says("16000 64000", f"{A}:1", "applied", "unread"),
                (252,): says(
                    "15000 64000",
                    "/run/credentials/systemd-sysctl.service/sysctl.extra:1",
                    "overridden",
                    "applied",
                ),
            },
            "procps": says("16000 64000", f"{A}:1", "applied", "unread"),
        },
        credential=f"{LINE}\n".encode(),
    ),
    Rule(
        "15: a link to nowhere and a folder are passed over, and hide",
        (
            link(f"{ETC}/10-a.conf", "nowhere"),
            folder(f"{ETC}/20-a.conf"),
            file(f"{USR}/10-a.conf", OTHER),
            file(f"{USR}/20-a.conf", OTHER),
            file(f"{USR}/30-a.conf", LINE),
        ),
        both(says("15000 64000", f"{USR}/30-a.conf:1", "applied", "masked", "masked")),
    ),
)

WRITES = (
    Rule(
        "2: two lines for one key",
        (file(f"{ETC}/10-a.conf", OTHER), file(A, LINE)),
        both(says("15000 64000", f"{A}:1", "overridden", "applied")),
    ),
    Rule(
        "3: the last line is refused",
        (file(A, LINE, f"{RANGE} = 64000 15000"),),
        {
            "systemd": stays("overridden", "refused"),
            "procps": says("15000 64000", f"{A}:1", "applied", "refused"),
        },
    ),
    Rule(
        "4: a key that is named again with another value moves to its last place",
        (file(A, f"{START} = 80", f"{RANGE} = 81 64000", f"{START} = 79"),),
        {
            "systemd": stays("refused"),
            "procps": says("81 64000", f"{A}:2", "applied"),
        },
    ),
    Rule(
        "4: a key that is named again with the same value stays at its first place",
        (file(A, f"{START} = 80", f"{RANGE} = 81 64000", f"{START} = 80"),),
        both(says("81 64000", f"{A}:2", "applied")),
    ),
    Rule(
        "5: -KEY takes an earlier line back, or not",
        (file(A, LINE, f"-{RANGE}"),),
        {
            "systemd": stays("excluded", "applied"),
            "procps": {
                (3,): says("15000 64000", f"{A}:1", "applied", "broken"),
                (4,): says("15000 64000", f"{A}:1", "applied", "applied"),
            },
        },
    ),
    Rule(
        "5: a line after -KEY sets the key",
        (file(A, f"-{RANGE}", LINE),),
        {
            "systemd": says("15000 64000", f"{A}:2", "overridden", "applied"),
            "procps": {
                (3,): says("15000 64000", f"{A}:2", "broken", "applied"),
                (4,): says("15000 64000", f"{A}:2", "applied", "applied"),
            },
        },
    ),
    Rule(
        "5: -KEY keeps a pattern away, wherever it stands",
        (file(A, "net.ipv4.ip_local_port_rang* = 15000 64000", f"-{RANGE}"),),
        {
            "systemd": stays("excluded", "applied"),
            "procps": {(3,): stays("broken", "broken"), (4,): stays("excluded", "applied")},
        },
    ),
    Rule(
        "13: one number",
        (file(A, LINE, f"{RANGE} = 16000"),),
        {
            "systemd": says("16000 60999", f"{A}:2", "overridden", "applied"),
            "procps": says("16000 64000", f"{A}:2", "overridden", "applied"),
        },
    ),
    Rule(
        "17: the start of privileged ports, then the range",
        (file(A, f"{START} = 80", f"{RANGE} = 80 64000"),),
        both(says("80 64000", f"{A}:2", "applied")),
    ),
    Rule(
        "17: the range, then the start of privileged ports",
        (file(A, f"{RANGE} = 80 64000", f"{START} = 80"),),
        both(stays("refused")),
    ),
    Rule(
        "18: a reserved list over 4 KiB",
        (file(A, f"{RESERVED} = {','.join(LONE_PORTS)}"),),
        {
            "systemd": {
                (247,): says(",".join(LONE_PORTS[:818]), f"{A}:1", "applied"),
                (252,): says(",".join(LONE_PORTS), f"{A}:1", "applied"),
            },
            "procps": says(",".join(LONE_PORTS[:818]), f"{A}:1", "applied"),
        },
        key=RESERVED,
    ),
    Rule(
        "19: twenty zeros before a number",
        (file(A, LINE, f"{RANGE} = {'0' * 20}16000 64000"),),
        {
            "systemd": stays("overridden", "refused"),
            "procps": says("15000 64000", f"{A}:1", "applied", "refused"),
        },
    ),
    Rule(
        "19: 5,000 blanks between the numbers",
        (file(A, LINE, f"{RANGE} = 16000{' ' * 5000}65000"),),
        {
            "systemd": says("16000 60999", f"{A}:2", "overridden", "applied"),
            "procps": says("16000 64000", f"{A}:2", "overridden", "applied"),
        },
    ),
)

LINES = (
    Rule(
        "6: a blank behind the dash",
        (file(A, f"- {LINE}"),),
        {"systemd": says("15000 64000", f"{A}:1", "applied"), "procps": stays("broken")},
    ),
    Rule(
        "6: a blank behind the dash of a line without a value",
        (file(A, LINE, f"- {RANGE}"),),
        {
            "systemd": stays("excluded", "applied"),
            "procps": says("15000 64000", f"{A}:1", "applied", "broken"),
        },
    ),
    Rule(
        "9: a lone carriage return between two lines",
        (file(A, raw=f"{LINE}\r{OTHER}\n".encode()),),
        {
            "systemd": says("16000 64000", f"{A}:1", "overridden", "applied"),
            "procps": {(3,): says("15000 64000", f"{A}:1", "applied"), (4,): stays("refused")},
        },
    ),
    Rule(
        "9: a carriage return at the end of a line",
        (file(A, raw=f"{LINE}\r\n".encode()),),
        both(says("15000 64000", f"{A}:1", "applied")),
    ),
    *(
        Rule(
            f"10: {name} behind the value",
            (file(A, f"{LINE}{blank}"),),
            {
                "systemd": stays("refused"),
                "procps": {
                    (3,): stays("refused"),
                    (4,): says("15000 64000", f"{A}:1", "applied"),
                },
            },
        )
        for name, blank in (("a vertical tab", "\v"), ("a form feed", "\f"))
    ),
    Rule(
        "11: a line of 1 MiB",
        (file(A, LINE, "#" * MEBIBYTE, OTHER),),
        {
            "systemd": says("15000 64000", f"{A}:1", "applied", "unread"),
            "procps": says("16000 64000", f"{A}:3", "overridden", "applied"),
        },
    ),
    Rule(
        "11: a line of a byte less",
        (file(A, LINE, "#" * (MEBIBYTE - 1), OTHER),),
        both(says("16000 64000", f"{A}:3", "overridden", "applied")),
    ),
    Rule(
        "12: a/../a in a key",
        (file(A, "net/ipv4/../ipv4/ip_local_port_range = 15000 64000"),),
        {
            "systemd": {(247,): says("15000 64000", f"{A}:1", "applied"), (252,): stays("broken")},
            "procps": says("15000 64000", f"{A}:1", "applied"),
        },
    ),
    Rule(
        "12: a/../a in a key, through a folder that does not exist",
        (file(A, "net/no_such/../ipv4/ip_local_port_range = 15000 64000"),),
        both(stays("broken")),
    ),
    Rule(
        "16: a pattern",
        (file(A, "net.ipv4.ip_local_port_rang? = 15000 64000"),),
        {
            "systemd": says("15000 64000", f"{A}:1", "applied"),
            "procps": {(3,): stays("broken"), (4,): says("15000 64000", f"{A}:1", "applied")},
        },
    ),
    *(
        Rule(
            f"16: a line that names the key itself, {where} a pattern",
            (file(A, *lines),),
            {
                "systemd": says("15000 64000", f"{A}:{number}", *outcomes),
                "procps": {
                    (3,): says(
                        "15000 64000",
                        f"{A}:{number}",
                        *(word.replace("overridden", "broken") for word in outcomes),
                    ),
                    (4,): says("15000 64000", f"{A}:{number}", *outcomes),
                },
            },
        )
        for where, number, lines, outcomes in (
            (
                "before",
                1,
                (LINE, "net.ipv4.ip_local_port_rang? = 16000 64000"),
                ("applied", "overridden"),
            ),
            (
                "behind",
                2,
                ("net.ipv4.ip_local_port_rang? = 16000 64000", LINE),
                ("overridden", "applied"),
            ),
        )
    ),
    Rule(
        "16: a star does not reach over a dot",
        (file(A, "net.*_range = 15000 64000"),),
        both(stays()),
    ),
    Rule(
        "16: braces in a pattern",
        (file(A, "net.ipv4.{ip_local_port_rang?,no_such} = 15000 64000"),),
        {"systemd": says("15000 64000", f"{A}:1", "applied"), "procps": stays("broken")},
    ),
)

DIFFERENCES = (*FILES, *WRITES, *LINES)
