"""Replace names and words in what decides at the next boot, and keep what it decides.

Rules of this file:

- a line that names a setting of the table stays, but for what the kernel does
  not take as a number; every other line is emptied, so that numbers of lines stay;
- a name of a file becomes a number of the same rank, because files are read in
  the order of their names;
- words that portroom did not make itself are left out.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator

import msgspec

from portroom.model.facts.boot import PROCESS, REAPPLY, BootFacts, BootProgram, BootWriter, Tuned
from portroom.model.facts.gaps import Gap
from portroom.model.facts.settings import SETTINGS, TW_RECYCLE_KEY
from portroom.model.facts.sysctl_files import (
    CREDENTIAL,
    DIRECTORIES,
    NULL_DEVICE,
    SUFFIX,
    SYSCTL_CONF,
    SysctlFile,
    SysctlTree,
    Unseen,
)
from portroom.model.laws.patterns import expand_braces, is_meant_for_many, matches
from portroom.model.laws.redact_keys import NO_MASKS, Masks, masked_names, without_detours
from portroom.model.laws.sysctl_lines import detours, meant

REDACTED = "redacted"

PATTERN_CHARACTERS = frozenset(b"*?[{\\")
"""A program that takes a name with one of these for a pattern reads other files instead."""

KNOWN_LINKS = frozenset({b"../sysctl.conf", b"/etc/sysctl.conf", NULL_DEVICE})

KNOWN_EVIDENCE = frozenset({"process 1 is systemd"})

LONG_LINE_BYTES = 1 << 20
"""A line as long as this ends the file for some programs, whatever it says."""

JUDGED = tuple(
    key.replace(".", "/").encode() for key in (*(row.key for row in SETTINGS), TW_RECYCLE_KEY)
)
"""What a line may name and stay: settings of the table, and one that findings look for."""

INNER_ENDS = re.compile(rb"([\r\0])")
"""What ends a line for some programs and not for others."""

TELLING = re.compile(rb"[^\s0-9,\-=]")

NO_TEXT = b"\xff"
"""A byte that is never part of UTF-8."""

UP_TO_NAME = re.compile(rb"(?:\xef\xbb\xbf)?[\s\"'-]*[^:\s]*:?")
"""A line without ``=`` as far as it names something."""

BEFORE_KEY = re.compile(rb"(?:\xef\xbb\xbf)?[\s=]*")
"""What some programs skip, also a ``=``, before the key begins."""

NUMBERS = re.compile(rb"(?:0[xX][0-9a-fA-F]+|[0-9]+|[-,\s])*")


def redact_boot(facts: BootFacts) -> BootFacts | Gap:
    """
    Return what decides at the next boot without a name or a word that tells whose it is.

    Returns:
        The same lines with the same outcomes. A Gap where the name of a file is
        a pattern of others, as another name would change which files are read,
        and where a name in a key cannot be replaced.
    """
    if any(_stands_for_others(file, facts.tree) for file in facts.tree.files):
        return Gap("boot", "redacted: the name of a sysctl file is a pattern", ("boot",))
    masks = masked_names(_names_left(facts.tree))
    if masks is None:
        return Gap("boot", "redacted: a name in a key cannot be replaced", ("boot",))
    names = _Names(facts, masks)
    return BootFacts(
        program=_program(facts.program),
        writers=tuple(map(names.writer, facts.writers)),
        tuned=facts.tuned and names.tuned(facts.tuned),
        tree=SysctlTree(
            tuple(map(names.file, facts.tree.files)),
            tuple(Unseen(names.path(one.path), one.reason) for one in facts.tree.unseen),
        ),
        root="/",
        gaps=tuple(map(_gap, facts.gaps)),
    )


def _stands_for_others(file: SysctlFile, tree: SysctlTree) -> bool:
    """Say whether a program that takes the name of a file for a pattern reads other files."""
    if not (file.name.endswith(SUFFIX) and PATTERN_CHARACTERS & set(file.name)):
        return False
    beside = {other.name for other in tree.files if other.directory == file.directory}
    patterns = expand_braces(file.name)
    return any(matches(one, name) for one in patterns for name in beside - {file.name})


def _program(program: BootProgram) -> BootProgram:
    """Return a boot program with as many notes and gaps, but without their words."""
    known = program.evidence in KNOWN_EVIDENCE
    return msgspec.structs.replace(
        program,
        evidence=program.evidence if known else REDACTED,
        notes=(REDACTED,) * len(program.notes),
        gaps=tuple(map(_gap, program.gaps)),
    )


def _gap(gap: Gap) -> Gap:
    """Return a Gap that names no file."""
    return Gap("boot", REDACTED, gap.affects)


class _Names:
    """The replacements of names of one system."""

    def __init__(self, facts: BootFacts, masks: Masks) -> None:
        self._masks = masks
        files = (file.name for file in facts.tree.files if file.directory in DIRECTORIES)
        self._files = _ranked(files)
        self._others: dict[str, dict[str, int]] = {}
        self._tree = facts.tree

    def path(self, path: bytes) -> bytes:
        """Return the replacement of the path of a sysctl file, or of a directory of them."""
        directory, _, name = path.rpartition(b"/")
        if path in {*DIRECTORIES, SYSCTL_CONF}:
            return path
        if directory in DIRECTORIES:
            return b"%s/%s" % (directory, self._files.get(name, REDACTED.encode()))
        return b"/run/credstore/" + CREDENTIAL if name == CREDENTIAL else b"/redacted"

    def file(self, file: SysctlFile) -> SysctlFile:
        """Return a sysctl file with another name, and the lines that are judged alone."""
        link = file.link
        if link and link not in KNOWN_LINKS:
            link = REDACTED.encode()
        return file._replace(
            path=self.path(file.path), content=_content(file.content, self._masks), link=link
        )

    def writer(self, writer: BootWriter) -> BootWriter:
        """Return something that sets a sysctl; what portroom itself named keeps its name."""
        if writer.kind == PROCESS or writer.name == REAPPLY:
            return writer
        return msgspec.structs.replace(
            writer,
            name=self._other(writer.name, "writer"),
            value=None if writer.value is None else _value_of_writer(writer.value),
            file=None if writer.file is None else self._file_of_writer(writer.file),
            sentence=REDACTED,
        )

    def _file_of_writer(self, file: str) -> str:
        """Return the replacement of a file that need not be one of the sysctl files."""
        if file == "/proc/cmdline":
            return file
        path = self.path(file.encode("utf-8", "surrogateescape"))
        if path == b"/redacted" or not path.startswith((*DIRECTORIES, SYSCTL_CONF)):
            return f"/{self._other(file, 'file')}"
        return path.decode("utf-8", "backslashreplace")

    def tuned(self, tuned: Tuned) -> Tuned:
        """Return what tuned does without the names of profiles, and of keys not judged."""
        # tuned compares its patterns with keys as they are spelled in the files.
        keys = {row.key for row in SETTINGS}
        keys |= set(_keys_as_spelled(self._tree)) if tuned.excluded else set()
        return msgspec.structs.replace(
            tuned,
            profiles=tuple(self._other(name, "writer") for name in tuned.profiles),
            excluded=tuple(one for one in tuned.excluded if fnmatch.filter(keys, one)),
        )

    def _other(self, name: str, what: str) -> str:
        """Return the replacement of any other name, the same for the same."""
        numbers = self._others.setdefault(what, {})
        return f"{what}-{numbers.setdefault(name, len(numbers) + 1)}"


def _ranked(names: Iterable[bytes]) -> dict[bytes, bytes]:
    """
    Return another name for each, in the same order; hidden files stay hidden.

    >>> _ranked([b"50-acme.conf", b".x.conf", b"README"])
    {b'.x.conf': b'.1-file.conf', b'50-acme.conf': b'2-file.conf', b'README': b'3-file'}
    """
    ordered = sorted(set(names))
    digits = len(str(len(ordered)))
    return {
        name: b"%s%0*d-file%s"
        % (
            # "-" sorts before ".", and that before digits.
            b"-" if name < b"." else name[:1] if name[:1] == b"." else b"",
            digits,
            rank,
            SUFFIX if name.endswith(SUFFIX) else b"",
        )
        for rank, name in enumerate(ordered, start=1)
    }


def _names_left(tree: SysctlTree) -> Iterator[bytes]:
    """Yield the names through which keys that are judged make a detour."""
    for file in tree.files:
        for piece in re.split(rb"[\n\r\0]", file.content):
            # A detour has at least one of these, written with slashes or with dots.
            if (b".." in piece or b"//" in piece) and _is_judged(piece):
                yield from (name for _, name in detours(piece[: _key_end(piece)]))


def _content(content: bytes, masks: Masks = NO_MASKS) -> bytes:
    r"""
    Return the lines of a file, those that are not judged emptied.

    Where a byte that is no text may end the file for some program, all that is
    not judged is masked instead, so that each byte stays at its place.

    >>> _content(b"# alice\nkernel.x = 1\nnet.ipv4.tcp_tw_reuse = 1 # bob\n")
    b'\n\nnet.ipv4.tcp_tw_reuse = 1 # xxx\n'
    """
    try:
        content.decode()
        plain = b"\0" not in content
    except UnicodeDecodeError:
        plain = False
    return b"\n".join(_line(line, masks, plain=plain) for line in content.split(b"\n"))


def _line(line: bytes, masks: Masks, *, plain: bool) -> bytes:
    """Return one line; what only some programs take for several is kept in length."""
    pieces = INNER_ENDS.split(line)
    one = sum(bool(piece.strip(b"\r\0")) for piece in pieces) == 1
    emptied = plain and one and len(line) < LONG_LINE_BYTES
    return b"".join(_piece(piece, masks, emptied=emptied) for piece in pieces)


def _piece(piece: bytes, masks: Masks, *, emptied: bool) -> bytes:
    """Return a line as some program sees it: judged, without a word, masked or empty."""
    if _is_judged(piece):
        end = _key_end(piece)
        value = end + piece[end:].startswith(b"=")
        return without_detours(piece[:end], masks) + piece[end:value] + _value(piece[value:])
    if not TELLING.search(piece):
        return piece
    return b"" if emptied else _masked(piece)


def _keys_as_spelled(tree: SysctlTree) -> Iterator[str]:
    """Yield the keys of all judged lines as they stand there."""
    for file in tree.files:
        for piece in re.split(rb"[\r\n]", file.content):
            if _is_judged(piece):
                yield piece[: _key_end(piece)].decode("utf-8", "surrogateescape").strip()


def _key_end(piece: bytes) -> int:
    """Return where the key of a judged line ends: before its ``=``, or before what follows."""
    begin = BEFORE_KEY.match(piece).end()  # type: ignore[union-attr]  # matches anything
    end = piece.find(b"=", begin)
    return end if end >= 0 else UP_TO_NAME.match(piece).end()  # type: ignore[union-attr]  # as above


def _is_judged(piece: bytes) -> bool:
    """Say whether a line names a setting of the table, by itself or by a pattern."""
    goal = meant(piece)
    if not is_meant_for_many(goal):
        return goal in JUDGED
    return any(matches(pattern, path) for pattern in expand_braces(goal) for path in JUDGED)


def _value(value: bytes) -> bytes:
    """Return a value up to what is no number, and as many marks as follow."""
    match = NUMBERS.match(value)
    end = match.end() if match else 0
    return value[:end] + _masked(value[end:])


def _masked(text: bytes) -> bytes:
    r"""
    Return a text of the same length that says nothing.

    Blanks of any kind, the first mark of a comment, ``=`` and bytes that are no UTF-8 stay.

    >>> _masked(b"# a = b\xfec")
    b'# x = x\xffx'
    """
    marks = [_mark(character) for character in text.decode("utf-8", "surrogateescape")]
    masked = b"".join(marks)
    first = len(text) - len(text.lstrip())
    if text[first : first + 1] in {b"#", b";"}:
        return masked[:first] + text[first : first + 1] + masked[first + 1 :]
    return masked


def _mark(character: str) -> bytes:
    """Return as many marks as a character has bytes; one that is no text stays none."""
    if character.isspace() or character == "=":
        return character.encode()
    if "\udc80" <= character <= "\udcff":
        return NO_TEXT
    return b"x" * len(character.encode())


def _value_of_writer(value: str) -> str:
    """Return a value of tuned or of the kernel command line; a variable stays one."""
    if "${" in value:
        return "${redacted}"
    sign = value[:1] if value[:1] in {"<", ">", '"'} else ""
    rest = value[len(sign) :]
    end = '"' if sign == '"' and rest.endswith('"') else ""
    inner = _value(rest[: len(rest) - len(end)].encode("utf-8", "surrogateescape"))
    return sign + inner.decode() + end
