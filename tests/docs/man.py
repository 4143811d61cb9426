r"""
The man pages, written from the commands: one for each, and one for portroom as a whole.

``python -m tests.docs --parts`` writes them to ``packaging/man``. Rules of this file:

- they are ASCII, and change only with what they tell: no date, the version stands there;
- a line of text never begins with ``.`` or ``'``, and every ``\``, quote and dash that
  is to be typed is escaped: ``man_text`` and ``code_text`` alone make text.

Source: man(7), groff_man_style(7), groff_char(7).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from portroom import __version__
from portroom.change.places import SYSTEM
from portroom.cli.commands import COMMANDS, portroom
from portroom.cli.options import CHANGE_STATUSES, EXIT_STATUSES
from portroom.model.facts.sysctl_files import OWN_PATHS
from tests.docs import blocks
from tests.docs.pages import ROOT

FOLDER = ROOT / "packaging/man"
REFERENCE = ROOT / "docs/reference/README.md"

JOURNAL, TRIALS = SYSTEM

WRITERS = ("set", "apply", "confirm", "undo", "recover")
"""Commands that change something."""

CHANGES = ("set", "plan", "apply", "confirm", "undo", "recover", "journal")
"""Commands that have to do with changes; the others answer questions."""

OTHERS = {
    "headroom": ("ip(7)",),
    "sessions": ("ss(8)", "netstat(8)"),
    "settings": ("sysctl(8)", "ip(7)", "tcp(7)"),
    "boot": ("sysctl.d(5)", "sysctl.conf(5)", "systemd-sysctl.service(8)"),
    "set": ("sysctl(8)", "sysctl.d(5)", "capabilities(7)"),
    "plan": ("sysctl(8)", "sysctl.d(5)"),
}
"""Pages of others that a reader of one may want."""

FILES = {
    OWN_PATHS[0]: "What is kept for the next boot; where another file would win, the name is "
    + " or ".join(f"`{path.rpartition('/')[2]}`" for path in OWN_PATHS[1:])
    + ". Lines of others in it stay.",
    JOURNAL: "One file a change: who, when, every value before and after, and how it ended.",
    f"{TRIALS}/trial-NUMBER": "A change that is on trial, until it is confirmed or taken back.",
    f"{TRIALS}/lock": "Held by the one command that writes.",
    "$XDG_STATE_HOME/portroom, $XDG_RUNTIME_DIR/portroom": "The same of who may change settings "
    "and may not write the folders above.",
}
"""What commands that change write, and what each is."""

ESCAPES = str.maketrans(
    {
        "\\": r"\e",
        "-": r"\-",
        "'": r"\(aq",
        "`": r"\(ga",
        "^": r"\(ha",
        "~": r"\(ti",
        "\N{HORIZONTAL ELLIPSIS}": "...",
    }
)

WIDTH = 78

CODE = re.compile(r"`([^`]+)`")
SENTENCE = re.compile(r"(?<=[.?!]) +(?=[A-Z`])")
HYPHEN = re.compile(r"(?<=[A-Za-z])\\-(?=[A-Za-z])")
OPTION_NAMES = re.compile(r"(-[\w-]+(?:(?:, | / )-[\w-]+)*) ?(.*)")


def pages() -> dict[Path, str]:
    """Return every man page, by where it lies."""
    found = {"portroom": whole()} | {f"portroom-{name}": of_command(name) for name in COMMANDS}
    return {FOLDER / f"{name}.1": text for name, text in found.items()}


def whole() -> str:
    """Return the page of portroom as a whole."""
    summary = (portroom.help or "").strip()
    context = click.Context(portroom, info_name="portroom", **portroom.context_settings)
    statuses = {int(name.strip("_")): text for name, text in CHANGE_STATUSES.items()}
    parts = [
        heading("portroom", summary),
        section("SYNOPSIS", r"\fBportroom\fR \fICOMMAND\fR [\fIOPTIONS\fR] [\fIWORDS\fR]"),
        section("DESCRIPTION", man_text(f"{summary} {portroom.epilog}")),
        section("COMMANDS", *(tagged(page_of(name), line) for name, (_, line) in COMMANDS.items())),
        section("OPTIONS", *options_of(portroom, context)),
        section("EXIT STATUS", *statuses_of(sorted((EXIT_STATUSES | statuses).items()))),
        section("ENVIRONMENT", *(tagged(name, does) for name, does in environment())),
        files(),
        section("SEE ALSO", listed(map(page_of, COMMANDS))),
    ]
    return "\n".join(parts) + "\n"


def of_command(name: str) -> str:
    """Return the page of one command."""
    found, context = blocks.command(name), blocks.context_of(name)
    parts = [
        heading(f"portroom-{name}", COMMANDS[name][1]),
        section("SYNOPSIS", synopsis(name, found, context)),
        section("DESCRIPTION", *description(found)),
        section("OPTIONS", *options_of(found, context)),
        section("EXIT STATUS", *statuses_of(blocks.exit_statuses(name))),
        *([files()] if name in WRITERS else []),
        section("SEE ALSO", see_also(name)),
    ]
    return "\n".join(parts) + "\n"


# Parts of a page.


def heading(name: str, summary: str) -> str:
    """Return how a page begins: what it is called, and what that is in a line."""
    about = summary[:1].lower() + summary[1:].rstrip(".").replace("`", "")
    return "\n".join(
        [
            r".\" Written by python -m tests.docs; do not edit.",
            f'.TH {name.upper()} 1 "" "portroom {__version__}" "portroom manual"',
            ".nh",
            ".ad l",
            section("NAME", rf"{code_text(name)} \- {man_text(about)}"),
        ]
    )


def section(title: str, *parts: str) -> str:
    """Return a section; its parts are paragraphs, or what brings its own macro."""
    lines = [f'.SH "{title}"']
    for number, part in enumerate(parts):
        lines += [".PP"] * (number > 0 and not part.startswith(".")) + [part]
    return "\n".join(lines)


def tagged(tag: str, text: str, *, is_roff: bool = False) -> str:
    """Return a term and what it means."""
    term = tag if is_roff else rf"\fB{code_text(tag)}\fR"
    return f".TP\n{term}\n{man_text(text)}"


def synopsis(name: str, found: click.Command, context: click.Context) -> str:
    """Return how a command is called."""
    words = " ".join(found.collect_usage_pieces(context))
    return rf"\fBportroom {code_text(name)}\fR {metavar_text(words)}"


def description(found: click.Command) -> Iterator[str]:
    """Yield the paragraphs of a command's help; what is set as it is stays so."""
    for part in blocks.paragraphs(found):
        if part.startswith("\b\n"):
            lines = [guarded(code_text(line)) for line in part[2:].splitlines()]
            yield "\n".join([".RS 4", ".nf", *lines, ".fi", ".RE"])
        else:
            yield man_text(part)


def options_of(found: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the options of a command; one without a help record is for portroom itself."""
    for parameter in found.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record is not None:
            yield tagged(option_text(record[0]), record[1], is_roff=True)


def option_text(words: str) -> str:
    r"""
    Return the names of an option and what it takes.

    >>> print(option_text("-o, --output [table|json]"))
    \fB\-o\fR, \fB\-\-output\fR [\fItable\fR|\fIjson\fR]
    """
    match = OPTION_NAMES.fullmatch(words)
    assert match is not None
    names = re.sub(r"-[\w-]+", lambda one: rf"\fB{code_text(one[0])}\fR", match[1])
    return f"{names} {metavar_text(match[2])}".rstrip()


def statuses_of(statuses: Iterator[tuple[int, str]] | list[tuple[int, str]]) -> Iterator[str]:
    """Yield exit statuses with their meanings."""
    return (tagged(str(status), meaning) for status, meaning in statuses)


def environment() -> Iterator[tuple[str, str]]:
    """Yield the variables of the environment as the reference tells them."""
    table = REFERENCE.read_text().partition("## Environment")[2]
    for name, does in re.findall(r"(?m)^\| (`.*?) \| (.*) \|$", table):
        yield name.replace("`", ""), re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", does)


def files() -> str:
    """Return the section of what is written."""
    return section("FILES", *(tagged(path, text) for path, text in FILES.items()))


def see_also(name: str) -> str:
    """Return the pages beside one: of its kind, and of others."""
    kind = [one for one in COMMANDS if (one in CHANGES) == (name in CHANGES) and one != name]
    return listed(["portroom(1)", *map(page_of, kind), *OTHERS.get(name, ())])


def page_of(name: str) -> str:
    """Return the name of the page of a command."""
    return f"portroom-{name}(1)"


def listed(pages: Iterator[str] | list[str] | map[str]) -> str:
    """Return names of pages, one a line."""
    return ",\n".join(rf"\fB{code_text(one[:-3])}\fR{one[-3:]}" for one in pages)


# Text.


def code_text(text: str) -> str:
    r"""
    Return a text as it is to be typed.

    >>> print(code_text(r"--a 'b\n' …"), code_text("é"))
    \-\-a \(aqb\en\(aq ... \[u00E9]
    """
    return "".join(
        one if one.isascii() else rf"\[u{ord(one):04X}]" for one in text.translate(ESCAPES)
    )


def man_text(text: str) -> str:
    r"""
    Return a paragraph, a sentence a line; what stands in backquotes is to be typed.

    >>> print(man_text("A long-lived `-x` of 1-2. Then\n.so"))
    A long-lived \fB\-x\fR of 1\-2.
    Then .so
    >>> print(man_text(".so"))
    \&.so
    """
    sentences = SENTENCE.split(" ".join(text.split()))
    lines = [
        line
        for sentence in sentences
        for line in textwrap.wrap(
            "".join(_inline(sentence)), WIDTH, break_on_hyphens=False, break_long_words=False
        )
    ]
    return "\n".join(map(guarded, lines))


def _inline(sentence: str) -> Iterator[str]:
    """Yield prose and code of a sentence in turn."""
    for number, part in enumerate(CODE.split(sentence)):
        text = code_text(part)
        yield rf"\fB{text}\fR" if number % 2 else HYPHEN.sub("-", text)


def metavar_text(words: str) -> str:
    r"""
    Return what a command takes: the words that stand for something else.

    >>> print(metavar_text("[OPTIONS] NAME=VALUE..."))
    [\fIOPTIONS\fR] \fINAME\fR=\fIVALUE\fR...
    """
    return re.sub(
        r"\w+(?:-\w+)*", lambda one: rf"\fI{code_text(one[0])}\fR", words.replace("…", "...")
    )


def guarded(line: str) -> str:
    r"""
    Return a line that is text, whatever it begins with.

    >>> print(guarded(".TH"), guarded("a"))
    \&.TH a
    """
    return rf"\&{line}" if line[:1] in {".", "'"} else line
