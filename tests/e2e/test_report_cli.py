"""`portroom report`: one paste, of one moment, that tells nobody's name where it must not."""

import os
import socket

import pytest

from tests.e2e.change_host import on_a_host
from tests.e2e.faults import as_nobody, ask, needs_root, open_ways
from tests.kernel.harness import LIBC, ip, write_settings
from tests.kernel.sockets import fill, listener

DATABASE = ("198.51.100.88", 5432)

NAME = "``` mycorp"
"""What a process may call itself: it would end a block of Markdown."""

HOST = "secret-host"

FULL = os.environ.get("PORTROOM_TESTS") == "full"

SECTIONS = {
    "status": ("status",),
    "settings": ("settings",),
    "boot": ("boot",),
    "features": ("features",),
    "headroom": ("headroom", "--limit", "20", "--owners"),
}
"""Of a report, what other commands tell, and how they are asked for it."""

PR_SET_NAME = 15


def busy(job):
    """Return what *job* returns on a host whose destination is full, its name a secret."""

    def within():
        """Have its address, and a process of that name with ten connections."""
        LIBC.unshare(0x04000000)  # CLONE_NEWUTS
        socket.sethostname(HOST)
        ip(f"address add {DATABASE[0]}/32 dev lo")
        write_settings(ip_local_port_range="40000 40009")
        LIBC.prctl(PR_SET_NAME, NAME.encode(), 0, 0, 0)
        listener(*DATABASE)
        kept = fill(DATABASE)
        assert 10 == len(kept.ports)
        return job()

    return on_a_host(within)


@needs_root
def test_it_says_what_is_full_and_who_it_is():
    """In Markdown, with limits, counters and versions, without a program but itself."""
    ended = busy(lambda: ask("report", environment={"PATH": "/nowhere"}))
    titles = [line[3:] for line in ended.answer.splitlines() if line.startswith("## ")]

    assert (0, "") == (ended.status, ended.told)
    assert f"# portroom report of `{HOST}`" == ended.answer.splitlines()[0]
    assert "all 10 eligible ports are held" in ended.answer
    assert "Critical: tight_key" in ended.answer
    assert NAME in ended.answer
    assert {"Status", "Findings", "Settings", "Limits", "Counted by the kernel"} < set(titles)
    assert [] == [line for line in outside_blocks(ended.answer) if "mycorp" in line]


def outside_blocks(text):
    """Yield the lines of Markdown that stand in no block."""
    fence = ""
    for line in text.splitlines():
        if not fence and line.startswith("```"):
            fence = line.removesuffix("text")
        elif fence and line == fence:
            fence = ""
        elif not fence:
            yield line


@needs_root
@pytest.mark.parametrize("output", ["json", "markdown"][: 2 if FULL else 1])
def test_redacted_it_tells_nobodys_name(output):
    """Neither host, address nor process; every count is there."""
    ended = busy(lambda: ask("report", "--redact", "-o", output))
    told = [HOST, DATABASE[0], "mycorp"]

    assert 0 == ended.status
    assert [] == [one for one in told if one in ended.answer]
    assert "5432" in ended.answer
    if output == "json":
        assert 10 == ended.json["headroom"]["keys"][0]["held_ports"]
        assert 10 == ended.json["status"]["tightest"][0]["held_ports"]


def test_every_section_is_what_its_command_answers(tmp_path):
    """From the same Snapshot, field by field, so no figure can differ; redacted, too."""
    file = str(tmp_path / "one.snapshot")
    for words in ((), ("--redact",))[0 if FULL else 1 :]:
        assert 0 == ask("snapshot", "--out", file, "--force", *words).status
        report = ask("report", "--snapshot", file, "-o", "json").json
        others = {
            name: ask(*asked, "--snapshot", file, "-o", "json").json
            for name, asked in SECTIONS.items()
        }

        assert others == {name: report[name] for name in SECTIONS}
        assert ask("doctor", "--snapshot", file, "-o", "json").json == report["findings"]
        assert (None, None, []) == (report["system"], report["limits"], report["changes"])


def it_is_of_one_moment():
    """Every answer in it is of the same instant and namespace."""
    report = ask("report", "-o", "json").json
    parts = [*SECTIONS, "findings"]

    assert {report["taken_at"]} == {report[name]["taken_at"] for name in parts}
    assert [report["netns"]] * len(parts) == [report[name]["netns"] for name in parts]
    assert report["counted"]["after_s"] >= 1
    assert report["system"]["kernel"].startswith("Linux ")


def nobody_gets_one_too():
    """Without any right; what that leaves out is said."""

    def job():
        """Let nobody reach the program, and ask."""
        open_ways()
        return as_nobody("report"), as_nobody("report", "-o", "json")

    paste, data = on_a_host(job)

    assert (0, 0) == (paste.status, data.status)
    assert "## What was not seen" in paste.answer
    assert data.json["limits"] is not None


def changes_are_told_in_short():
    """With who and what; redacted, by the settings alone."""

    def job():
        """Change something, and ask."""
        assert 0 == ask("set", "range=40000-45999").status
        return ask("report", "-o", "json").json, ask("report", "--redact", "-o", "json").json

    told, redacted = [one["changes"][0] for one in on_a_host(job)]

    assert ["range=40000-45999"] == told["words"]
    assert "root" in told["who"]
    assert ["net.ipv4.ip_local_port_range"] == told["settings"] == redacted["settings"]
    assert ("", []) == (redacted["who"], redacted["words"])


WAYS = {
    "moment": it_is_of_one_moment,
    "nobody": nobody_gets_one_too,
    "changes": changes_are_told_in_short,
}


@needs_root
@pytest.mark.parametrize("way", WAYS if FULL else ["moment"])
def test_it_is_what_whoever_asks_may_have(way):
    """Of one moment; without any right; with the changes that were made."""
    WAYS[way]()
