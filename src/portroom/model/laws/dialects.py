"""How each boot program reads sysctl files: one table.

Rules of this file:

- one row a program and version from which on it holds, oldest first;
- a row says what differs and nothing else; what all have in common stands in
  ``boot`` and ``sysctl_lines``;
- each row is proven against the real program (tests/kernel/boot).

Part of the portable core: standard library and Python 3.9 syntax only.

Source: sysctl.d(5), systemd-sysctl.service(8), sysctl(8), tuned.conf(5), and
the programs themselves.
"""

from __future__ import annotations

from typing import NamedTuple

from portroom.model.facts.sysctl_files import DIRECTORIES, LOOP, SYSCTL_CONF

SYSTEMD, PROCPS, TUNED = "systemd", "procps", "tuned"

PROGRAMS = (SYSTEMD, PROCPS, TUNED)

# What a line "-KEY" without "=" does.
REMOVES = "removes an earlier setting"
EXCLUDES = "excludes from globs"
BROKEN = "is no setting"

# What "KEY =" does.
WRITES_NEWLINE = "writes a newline"
WRITES_NOTHING = "writes nothing"

# How a key becomes a path below /proc/sys.
FIRST_DECIDES = "dots and slashes are swapped if a dot comes first"
SWAPS = "dots and slashes are swapped"
ALL_SLASHES = "every dot becomes a slash"

# What a program does after a write of which the kernel took a part, or nothing.
STOPS = "stops"
GOES_ON = "writes the rest too"
SPLITS = "tries a refused long value again, in pieces that end at a comma"

ASCII_BLANKS = b" \t\n\r"
C_BLANKS = b" \t\n\v\f\r"


class Dialect(NamedTuple):
    """
    The rules of one program from one version on.

    ``directories`` are those it reads, the first one that has a name decides;
    ``last_file`` is read after all, empty for none; ``tests_last_file`` says
    that it is, only if it is a regular file. ``hides_nothing`` are
    kinds of names that do not hide the same name in a later directory.
    ``line_ends`` end a line; ``blanks`` are stripped around keys and values,
    ``leading_blanks`` before a key. ``longest_line_bytes`` is the first length
    that is too long, 0 for none. ``is_text`` says that a file must be UTF-8,
    or all ends there. ``left_out`` are patterns of keys, as they are spelled,
    that this host's configuration excludes.
    """

    program: str
    since: tuple[int, ...]
    directories: tuple[bytes, ...]
    last_file: bytes = b""
    tests_last_file: bool = False
    reads_hidden: bool = False
    reads_credential: bool = False
    expands_file_names: bool = False
    hides_nothing: frozenset[str] = frozenset()
    is_text: bool = False
    line_ends: bytes = b"\n"
    longest_line_bytes: int = 0
    blanks: bytes = C_BLANKS
    leading_blanks: bytes = C_BLANKS
    value_ends: bytes = b""
    skips_leading_equals: bool = False
    minus_ignores_failure: bool = True
    blank_after_minus: bool = False
    second_minus: bool = False
    bare_minus: str = BROKEN
    empty_value: str = WRITES_NEWLINE
    one_write_a_key: bool = False
    separators: str = FIRST_DECIDES
    expands_keys: bool = True
    expands_braces: bool = False
    simplifies_keys: bool = False
    writes_through_parents: bool = True
    after_short_write: str = STOPS
    adds_newline: bool = True
    left_out: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """
        Return program and version in words.

        >>> dialect("procps", (4, 0, 4)).name
        'procps 4.0.2'
        """
        return " ".join(filter(None, (self.program, ".".join(map(str, self.since)))))


_SYSTEMD_247 = Dialect(
    program=SYSTEMD,
    since=(247,),
    directories=DIRECTORIES,
    line_ends=b"\n\r\0",
    longest_line_bytes=1 << 20,
    blanks=ASCII_BLANKS,
    leading_blanks=ASCII_BLANKS,
    blank_after_minus=True,
    bare_minus=REMOVES,
    one_write_a_key=True,
    expands_braces=True,
    simplifies_keys=True,
)
_SYSTEMD_252 = _SYSTEMD_247._replace(
    since=(252,),
    reads_credential=True,
    writes_through_parents=False,
    after_short_write=GOES_ON,
)
_SYSTEMD_257 = _SYSTEMD_252._replace(since=(257,), directories=DIRECTORIES[:4])
_SYSTEMD_262 = _SYSTEMD_257._replace(since=(262,), hides_nothing=frozenset({LOOP}))

_PROCPS_3 = Dialect(
    program=PROCPS,
    since=(3, 3, 17),
    directories=DIRECTORIES,
    last_file=SYSCTL_CONF,
    tests_last_file=True,
    reads_hidden=True,
    expands_file_names=True,
    blanks=ASCII_BLANKS,
    leading_blanks=b" \t",
    value_ends=b"\r",
    skips_leading_equals=True,
    empty_value=BROKEN,
    expands_keys=False,
    after_short_write=SPLITS,
)
_PROCPS_4 = _PROCPS_3._replace(
    since=(4, 0, 2),
    blanks=C_BLANKS,
    leading_blanks=C_BLANKS,
    value_ends=b"",
    skips_leading_equals=False,
    second_minus=True,
    bare_minus=EXCLUDES,
    empty_value=WRITES_NEWLINE,
    expands_keys=True,
)

_TUNED_2_15 = Dialect(
    program=TUNED,
    since=(2, 15),
    directories=(b"/run/sysctl.d", b"/etc/sysctl.d"),
    last_file=SYSCTL_CONF,
    reads_hidden=True,
    is_text=True,
    line_ends=b"\n\r",
    minus_ignores_failure=False,
    empty_value=WRITES_NOTHING,
    separators=ALL_SLASHES,
    expands_keys=False,
    after_short_write=GOES_ON,
    adds_newline=False,
)
_TUNED_2_22 = _TUNED_2_15._replace(since=(2, 22), separators=SWAPS)

DIALECTS = (
    _SYSTEMD_247,
    _SYSTEMD_252,
    _SYSTEMD_257,
    _SYSTEMD_262,
    _PROCPS_3,
    _PROCPS_4,
    _TUNED_2_15,
    _TUNED_2_22,
)


def dialect(program: str, version: tuple[int, ...] | None = None) -> Dialect:
    """
    Return the rules of a program in a version.

    Args:
        program: One of PROGRAMS.
        version: As far as it is known; None takes the newest rules. One older
            than all rows takes the oldest.

    >>> dialect("systemd", (255,)).since, dialect("systemd", (240,)).since
    ((252,), (247,))
    """
    rows = [row for row in DIALECTS if row.program == program]
    if version is None:
        return rows[-1]
    return [rows[0], *(row for row in rows if row.since <= version)][-1]
