"""A file that is planned to hold at the next boot does, with the real programs, on drawn trees."""

from __future__ import annotations

import collections
import datetime
import os
import re

import hypothesis
import pytest
from hypothesis import strategies

from portroom.change.persist import TEMPORARY, OwnFile, has_folder, read_own, replace_own
from portroom.kernel.sysctl_d import read_tree
from portroom.model.advice.own_lines import with_settings
from portroom.model.advice.persisting import PATHS, FilePlan, Note, Own, plan_file, unmet
from portroom.model.facts.boot import BootFacts, BootProgram
from portroom.model.facts.change import REFUSAL, FileContent, FileStep, inverse
from portroom.model.facts.sysctl_files import DIRECTORIES, shown
from tests.kernel.boot_host import DEFAULTS, Host, Programs, found_programs, reset_settings
from tests.kernel.boot_trees import PHASES, RANGE, RESERVED, REUSE, START, Tree, contents, trees
from tests.kernel.boot_trees import File as Drawn

ROOTS = found_programs()

TREES = 1_000 if os.environ.get("PORTROOM_TESTS") == "full" else 150

NOTE = Note(datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "alice", "a = reason")

LONG = ",".join(map(str, range(20_001, 23_000, 2)))
"""A list of 9 KB, more than one write takes."""

WANTED = (
    {RANGE: "15001 64000"},
    {RANGE: "15001 64000"},
    {RESERVED: "8080,9000-9100", RANGE: "15001 64000"},
    {START: "80", RANGE: "80 65001"},
    {START: "15001"},
    {REUSE: "1", RANGE: "32768 60999"},
    {RESERVED: ""},
    {RESERVED: LONG},
)

MENDED = r"Write (\S+ = .*) in place of line (\d+) of (.*)\."
"""What is said to be done."""


@strategies.composite
def hosts(draw):
    """Draw a tree, often with files of ours, and what is wanted."""
    tree = draw(trees())
    unique = [500]
    names = draw(strategies.sampled_from([[], [], [0], [2], [0, 1], [3]]))
    own = [Drawn(PATHS[one].encode(), "file", draw(contents(unique))) for one in names]
    return tree._replace(files=(*own, *tree.files)), draw(strategies.sampled_from(WANTED))


@pytest.mark.parametrize("programs", ROOTS, ids=lambda programs: programs.label)
def test_what_is_planned_holds_and_what_is_refused_would_not(netns, programs):
    """
    After a planned file the program gives the wanted values and no other one changes;
    where the plan is refused, no name gives them, and what it says to write helps.
    """
    count = TREES if programs == ROOTS[0] else TREES // 8
    counted = netns(try_trees, programs, count, deadline_s=1_800)

    assert counted["planned"] + counted["refused"] >= len(programs.versions) * count
    assert min(counted.get(one, 0) for one in ("moved", "refused", "mended")) > count // 50


def try_trees(programs: Programs, count: int) -> dict[str, int]:
    """Try drawn trees with both programs, and count how plans ended."""
    host = Host(programs)
    counted: collections.Counter[str] = collections.Counter()

    @hypothesis.settings(max_examples=count, database=None, phases=PHASES)
    @hypothesis.given(hosts())
    def one(drawn: tuple[Tree, dict[str, str]]) -> None:
        for program in host.programs.versions:
            drawn[0].make(host)
            counted.update(try_tree(host, program, drawn[1]))

    one()
    return dict(counted)


def try_tree(host: Host, program: str, wanted: dict[str, str]) -> list[str]:
    """Plan a file, write it or show that it is rightly refused, and boot; say how that went."""
    planned = plan_file(facts(host, program), None, wanted, own(host), NOTE)
    before = booted(host, program)
    if not is_refused(planned):
        holds(host, program, wanted, before, planned)
        return ["planned", *(["moved"] if len(planned.steps) > 1 else [])]
    no_name_wins(host, program, wanted, before)
    if not mend(host, planned):
        return ["refused"]
    again = plan_file(facts(host, program), None, wanted, own(host), NOTE)
    if is_refused(again):
        return ["refused", "mended in part"]
    holds(host, program, wanted, booted(host, program), again)
    return ["refused", "mended"]


def is_refused(planned: FilePlan) -> bool:
    """Say whether a plan may not be written."""
    return any(reason.severity == REFUSAL for reason in planned.reasons)


def facts(host: Host, program: str) -> BootFacts:
    """Return what decides at the next boot of a host."""
    version = host.programs.versions[program]
    by = BootProgram(program=program, version=version, evidence="", installed={program: version})
    return BootFacts(program=by, tree=read_tree(str(host.root)))


def own(host: Host) -> Own:
    """Return what there is of ours on a host."""
    files = {path: read_own(path, str(host.root)) for path in PATHS}
    present = {path: FileContent(*one) for path, one in files.items() if one}
    return Own(present, has_folder(PATHS[0], str(host.root)))


def booted(host: Host, program: str) -> dict[str, str]:
    """Return what sysctls hold after a boot."""
    reset_settings()
    return host.boot(program)


def write(host: Host, step: FileStep) -> None:
    """Write a planned step for real."""
    before, after = (
        None if one is None else OwnFile(one.content, one.mode) for one in (step.before, step.after)
    )
    replace_own(step.path, before, after, makes_folder=step.makes_folder, root=str(host.root))


def holds(
    host: Host, program: str, wanted: dict[str, str], before: dict[str, str], planned: FilePlan
) -> None:
    """Show that a plan holds, that nothing else changes by it, and that it is taken back whole."""
    there = own(host)
    for step in planned.steps:
        write(host, step)
    after = booted(host, program)

    assert wanted == {key: after[key] for key in wanted}
    assert {k: v for k, v in before.items() if k not in wanted} == {
        k: v for k, v in after.items() if k not in wanted
    }
    assert () == unmet(facts(host, program), None, wanted)
    for step in inverse(planned.steps):
        write(host, step)

    assert there == own(host)


def no_name_wins(host: Host, program: str, wanted: dict[str, str], before: dict[str, str]) -> None:
    """Show that under no name a file gives the values and leaves all others."""
    there = own(host).files
    orders = [wanted, dict(reversed(wanted.items()))] if START in wanted else [wanted]
    for path in PATHS:
        content = there[path].content if path in there else b""
        for settings in orders:
            host.write(path.encode(), with_settings(content, settings, NOTE))

            assert before | wanted != booted(host, program)
        host.at(path.encode()).unlink()
        if path in there:
            host.write(path.encode(), content)


def mend(host: Host, planned: FilePlan) -> int:
    """Do what a refused plan says, as far as it names a line; return how many it names."""
    told = [re.fullmatch(MENDED, reason.remedy) for reason in planned.reasons]
    for match in filter(None, told):
        line, number, path = match.groups()
        replace_line(host, path, int(number), line)
    return len(list(filter(None, told)))


def replace_line(host: Host, path: str, number: int, line: str) -> None:
    """Write another line in place of one."""
    (file,) = (one for one in read_tree(str(host.root)).files if shown(one.path) == path)
    lines = file.content.split(b"\n")
    lines[number - 1] = line.encode()
    # A link may lead out of the host: what it led to lies there afterwards.
    host.at(file.path).unlink()
    host.write(file.path, b"\n".join(lines))


def test_no_program_reads_what_is_not_whole_yet(netns):
    """
    What lies under the name that a new content has at first decides nothing.
    """

    def job() -> list[dict[str, str]]:
        """Boot with a file of that name in every folder."""
        host = Host(ROOTS[0])
        host.clear()
        for directory in DIRECTORIES:
            if not host.has(directory + b"/" + TEMPORARY.encode()):
                host.write(directory + b"/" + TEMPORARY.encode(), b"net.ipv4.tcp_tw_reuse = 1\n")
        return [booted(host, program) for program in host.programs.versions]

    assert [DEFAULTS, DEFAULTS] == netns(job)
