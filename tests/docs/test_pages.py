"""The pages are complete, current, and lead somewhere."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest

from portroom.api import look
from portroom.cli.commands import COMMANDS, portroom
from portroom.cli.options import EXIT_STATUSES
from portroom.kernel.snapshot import WITNESSES_UP_TO
from portroom.model.facts.document import Document
from portroom.model.facts.settings import SETTINGS
from portroom.model.facts.sockets import TcpState
from tests.docs import blocks, pages

SOURCES = pages.ROOT / "src/portroom"
REFERENCE = pages.ROOT / "docs/reference"

TERMS = """
    local port, ephemeral range, reserved ports, eligible ports, endpoint, 4-tuple, operation,
    connect, bind0, bind, held, holder, owner, occupancy, headroom, exhaustion, churn, hold time,
    netns, setting, drift, gap, finding, plan, step, inverse, key, in doubt, Snapshot, session,
    probe, sticky, boot program, candidate, dialect, outcome, persisted, winner, writer,
    capacity, collision, confirm, conflict, entry, guardian, journal, limit, note, own file, phase,
    put back, reason, recover, refusal, trial, undo, warning,
    accept queue, bind-first, blocked, cause, cliff, conntrack, failure, myth, severity, SNAT,
    trace instance, verdict, window
"""

FORBIDDEN = re.compile(
    r"(?i)(?<![\w.])/(?:work|home|root|opt|usr/local/src)/|\bpip\.conf\b|--index-url"
    r"|\blocalhost:\d+|\bfile://|\bin this session\b|\bFIXME\b|\bXXX\b"
)

LINK = re.compile(r"(?<!!)\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)")

found = pages.read()
names = [pages.name_of(path) for path in found]


@pytest.fixture(params=found, ids=names)
def page(request) -> Path:
    """Return each page in turn."""
    return request.param


def test_what_is_written_from_the_code_is_current(page):
    """``python -m tests.docs --parts`` would change nothing."""
    expected = pages.rewritten(found[page])

    assert expected == found[page]


def test_the_schema_of_a_saved_snapshot_is_current():
    """The published schema is that of ``snapshot -o json``."""
    expected = blocks.snapshot_schema()

    assert expected == (pages.ROOT / blocks.SCHEMA).read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_page_of_its_own(name):
    """It has usage, an example, options and exit statuses, and the README shows it."""
    text = (REFERENCE / f"commands/{name}.md").read_text()
    missing = [
        part for part in ("usage", "options", "exits") if f"begin: {part} {name}," not in text
    ]

    assert [] == missing
    assert re.search(rf"(?m)^\$ portroom {name}\b", text)
    assert f"portroom {name}" in found[pages.ROOT / "README.md"]


def test_no_page_is_about_a_command_that_does_not_exist():
    """A command that is gone takes its page with it."""
    assert set(COMMANDS) == {path.stem for path in (REFERENCE / "commands").iterdir()}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_words(name):
    """Each option of each command says what it does."""
    silent = [
        option.name
        for option in blocks.command(name).params
        if isinstance(option, click.Option) and not option.help
    ]

    assert [] == silent


def test_every_option_that_a_page_names_exists():
    """No page promises an option of portroom that there is not."""
    known = {
        word
        for command in (portroom, *map(blocks.command, COMMANDS))
        for option in command.params
        for word in (*option.opts, *option.secondary_opts)
    } | {"--help", "--version"}
    used = {
        (pages.name_of(path), word)
        for path, text in found.items()
        for line in re.findall(r"portroom ((?:[\w.:\[\]/*-]+ ?)+)", text)
        for word in re.findall(r"(?<!\S)--[a-z][a-z-]+", line)
    }

    assert set() == {(name, word) for name, word in used if word not in known}


def test_every_exit_status_is_explained():
    """The page of exit statuses has each one that any command tells, and no other."""
    told = {status for name in COMMANDS for status, _ in blocks.exit_statuses(name)}
    text = (REFERENCE / "errors.md").read_text()
    explained = {int(status) for status in re.findall(r"(?m)^\| (\d+) \|", text)}

    assert set(EXIT_STATUSES) | told == explained


def test_every_class_of_error_is_in_the_table():
    """The table of errors is complete, and each says something."""
    text = (REFERENCE / "errors.md").read_text()
    missing = [one.__name__ for one in blocks.error_classes() if one.__name__ not in text]

    assert [] == missing


def test_every_source_of_a_gap_is_explained():
    """What an answer may say that it did not see is in the table of gaps."""
    text = (REFERENCE / "errors.md").read_text().partition("## Gaps are no errors")[2]
    sources = {source for path in SOURCES.rglob("*.py") for source in gap_sources(path)}

    assert {"sock_diag", "owners", "route", "probe"} < sources
    assert set() == {source for source in sources if f"`{source}`" not in text}


def gap_sources(path: Path) -> Iterator[str]:
    """Yield the first argument of each call that makes a Gap, where it is written there."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Name(id="Gap" | "not_looked_at" | "_or_gap"), args=[first, *_]):
                if isinstance(first, ast.Constant):
                    yield str(first.value)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("commands/headroom.md", look.OWNERS_UP_TO),
        ("commands/status.md", look.KEY_OWNERS_UP_TO),
        ("commands/snapshot.md", look.SAVED_OWNERS_UP_TO),
        ("../decisions/0007-owners-unasked-only-while-cheap.md", look.OWNERS_UP_TO),
        ("../decisions/0007-owners-unasked-only-while-cheap.md", look.KEY_OWNERS_UP_TO),
        ("../explanation/where-local-ports-go.md", WITNESSES_UP_TO),
    ],
)
def test_a_threshold_is_told_as_it_is(name, number):
    """A limit from which portroom does less is the same in the code and on the page."""
    assert f"{number:,}" in (REFERENCE / name).read_text()


def structs() -> Iterator[type[msgspec.Struct]]:
    """Yield every type that an answer or a saved Snapshot has."""
    yield from dict.fromkeys([*blocks.in_answers(), *blocks.structs_of(Document)])


def test_every_json_field_is_documented():
    """A new field fails here until fields.toml says what it means."""
    meanings = tomllib.loads(blocks.MEANINGS.read_text())
    silent = [
        f"{struct.__name__}.{field.name}"
        for struct in structs()
        for field in msgspec.structs.fields(struct)
        if "**" in blocks.told(meanings, struct, field.name)[1]
    ]

    assert [] == silent


def test_no_field_is_documented_that_does_not_exist():
    """A field or type that is gone takes its words with it."""
    meanings = tomllib.loads(blocks.MEANINGS.read_text())
    every = {kind.__name__: kind for struct in structs() for kind in struct.__mro__}
    stale = [
        f"{name}.{field}"
        for name, fields in meanings.items()
        for field in fields
        if name not in every or field not in every[name].__struct_fields__
    ]

    assert [] == stale


def test_every_number_has_a_unit():
    """A number of ports, bytes, sockets or time says so; others are versions and ids."""
    meanings = tomllib.loads(blocks.MEANINGS.read_text())
    ids = {"pid", "uid", "inode", "cookie", "device", "family", "state", "line", "users"}
    ids |= {"tid", "netns_inode", "netns_cookie", "index", "devices"}
    bare = [
        f"{struct.__name__}.{field.name}"
        for struct in structs()
        for field in msgspec.structs.fields(struct)
        if "integer" in blocks.type_name(msgspec.inspect.type_info(field.type), [])
        and not field.name.endswith("_version")
        and field.name not in ids | {"current", "default", "persisted"}
        and not blocks.told(meanings, struct, field.name)[0]
    ]

    assert [] == bare


@pytest.mark.parametrize("setting", SETTINGS, ids=[one.name for one in SETTINGS])
def test_every_setting_has_a_section(setting):
    """With its sysctl, what it does and what it does not."""
    text = (REFERENCE / "settings.md").read_text()
    section = text.partition(f"### {setting.name}\n")[2].partition("\n### ")[0]
    missing = [
        part for part in (setting.key, setting.meaning, setting.does_not) if part not in section
    ]

    assert [] == missing


def test_every_term_is_in_the_glossary():
    """The words of the design, and the states of sockets."""
    text = (pages.ROOT / "docs/glossary.md").read_text()
    headings = ", ".join(re.findall(r"(?m)^\*\*([^*]+)\*\* — ", text)).split(", ")
    wanted = [" ".join(term.split()) for term in TERMS.split(",")]
    states = [one.name for one in TcpState if one is not TcpState.NEW_SYN_RECV]

    assert [] == [term for term in wanted if term not in headings]
    assert [] == [state for state in states if f"`{state}`" not in text]


def test_every_field_that_the_glossary_names_exists():
    """What stands after "In JSON" is a field of an answer."""
    text = (pages.ROOT / "docs/glossary.md").read_text()
    fields = {field for struct in structs() for field in struct.__struct_fields__}
    named = {
        name
        for sentence in re.findall(r"In JSON: ([^.]*)\.", text)
        for name in re.findall(r"`(\w+)`", sentence)
    }

    assert set() == named - fields
    assert named


def test_links_lead_somewhere(page):
    """Each relative link names a file that is there, and a heading that is in it."""
    broken = [target for target in links(found[page]) if not is_there(page, target)]

    assert [] == broken


def test_every_command_that_a_page_names_exists(page):
    """What stands in backquotes or behind a prompt after ``portroom`` is a command."""
    named = re.findall(r"(?m)(?:`|^\$ |\$\()portroom ([a-z]\w+)", found[page])
    planned = {"check"} if page.name == "CONTRIBUTING.md" else set()

    assert set() == set(named) - COMMANDS.keys() - planned


def links(text: str) -> list[str]:
    """Return the targets of links within the project; code is no link."""
    prose = re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", "", text)
    return [target for target in LINK.findall(prose) if "://" not in target]


def is_there(page: Path, target: str) -> bool:
    """Say whether a relative link of a page has a file and a heading."""
    name, _, anchor = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    return path.exists() and (not anchor or anchor in anchors(path.read_text()))


def anchors(text: str) -> set[str]:
    """
    Return the anchors of a page's headings, as forges make them.

    >>> anchors("## `a` (b)")
    {'a-b'}
    """
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    kept = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in kept}


def test_every_page_is_reached_from_the_readme():
    """Following links from the README, a reader comes to each page."""
    seen = {pages.ROOT / "README.md"}
    todo = [*seen]
    while todo:
        page = todo.pop()
        for target in links(found[page]):
            path = (page.parent / target.partition("#")[0]).resolve()
            if path in found and path not in seen:
                seen.add(path)
                todo.append(path)

    assert [] == sorted(pages.name_of(path) for path in found.keys() - seen)


def test_nothing_tells_of_the_machine_it_was_written_on(page):
    """No path, index or unfinished word of a writer's machine."""
    assert [] == FORBIDDEN.findall(found[page])


def test_decisions_are_numbered_without_a_gap():
    """Each has its number in the name and in the title, and says what it must."""
    paths = sorted((pages.ROOT / "docs/decisions").glob("[0-9]*.md"))
    numbers = [path.name[:4] for path in paths]

    assert [f"{number:04}" for number in range(1, len(paths) + 1)] == numbers
    for path in paths:
        text = path.read_text()
        parts = ("**Decision.**", "**Why.**", "**What else.**", "**What would change our mind.**")

        assert text.startswith(f"# {path.name[:4]}: ")
        assert [] == [part for part in parts if part not in text]
