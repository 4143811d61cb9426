"""`portroom settings` and `status` on a host that boots: what the next boot gives, and drift."""

import json
import os
from pathlib import Path

import pytest

from tests.docs.own_etc import keep_the_range_twice, no_sysctl_files
from tests.e2e.faults import NOBODY, alone, answered, ask, needs_root, open_ways
from tests.kernel.harness import LIBC, Neighbour, write_settings

pytestmark = [
    needs_root,
    pytest.mark.skipif(
        not Path("/lib/systemd/systemd-sysctl").exists(), reason="systemd is not installed"
    ),
]

PR_SET_NAME, PR_SET_DUMPABLE = 15, 4
DROP_IN = "/etc/sysctl.d/net.ipv4.ip_local_port_range.conf"
LINE = "net.ipv4.ip_local_port_range = 15000 65000\n"
HOSTILE = "/etc/sysctl.d/zz-\x1b[31m\n\u202eevil\udcff.conf"


def on_a_host(job, *, init="systemd"):
    """Return what *job* returns on a host whose process 1 has this name, without sysctl files."""

    def begin():
        """Have an /etc of its own."""
        LIBC.prctl(PR_SET_NAME, init.encode(), 0, 0, 0)
        no_sysctl_files()
        return job()

    return alone(begin)


def become_nobody():
    """
    Give up every right, and be process 1 all the same.

    Its namespace can then be seen by a command of the same user.
    """
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def setting(ended, name="range"):
    """Return one setting of ``settings -o json``."""
    answered(ended)
    return next(one for one in ended.json["settings"] if one["name"] == name)


def next_boot(one):
    """Return what is told of the next boot of a setting."""
    return one["persisted"], one["persisted_at"], one["drift"]


UNKNOWN = (None, None, None)


def test_the_article_drifts():
    """
    Live 15000-64000 and a boot file with 15000-65000: text and JSON say so, with file and line.
    """

    def job():
        """Follow the article, and ask."""
        keep_the_range_twice()
        return ask("status"), ask("settings", "range"), ask("status", "-o", "json"), ask(
            "settings", "range", "-o", "json"
        ), ask("settings", "range", "-o", "wide"), ask("settings", "range", "-o", "csv")  # fmt: skip

    status, settings, as_json, typed, wide, csv = on_a_host(job)

    answered(
        status,
        f"Drift: range is 15000-64000, the next boot gives 15000-65000 ({DROP_IN}:1).\n",
        "Boot: systemd-sysctl and sysctl --system differ on range: 15000-65000 / 15000-64000",
    )
    answered(settings, "15000-64000  15000-65000  32768-60999  drift", f"by {DROP_IN}:1.")
    expected = {
        "name": "range",
        "current": "15000-64000",
        "persisted": "15000-65000",
        "file": DROP_IN,
        "line": 1,
    }
    assert [expected] == as_json.json["drift"]
    assert [
        {"name": "range", "values": {"systemd": "15000-65000", "procps": "15000-64000"}}
    ] == as_json.json["boot_conflicts"]
    assert ({"first": 15000, "last": 65000}, {"file": DROP_IN, "line": 1}, True) == next_boot(
        setting(typed)
    )
    answered(wide, f"{DROP_IN}:1", "/etc/sysctl.conf:2", "15000 64000  unread")
    assert f",15000-65000,{DROP_IN},1,true," in csv.answer


def test_a_saved_snapshot_answers_as_the_host():
    """
    settings and status are the same, byte for byte; redacted, but for the names.
    """

    def job():
        """Save, and ask both."""
        keep_the_range_twice()
        Path(HOSTILE).write_bytes(b"# \xff by alice\n" + LINE.encode())
        answers = {}
        for words in (("status", "-o", "json"), ("settings", "-o", "json")):
            live = ask(*words)
            saved = ["--snapshot", "/run/saved"]
            ask("snapshot", "--out", "/run/saved", "--force")
            ask("snapshot", *saved, "--redact", "--out", "/run/redacted", "--force")
            redacted = ask(*words, "--snapshot", "/run/redacted")
            answers[words[0]] = live, ask(*words, *saved), redacted
        return answers, Path("/run/redacted").read_bytes(), ask(
            "snapshot", "--snapshot", "/run/saved", "-o", "json"
        )  # fmt: skip

    answers, redacted, as_json = on_a_host(job)

    moment = {"taken_at", "host", "netns", "gaps", "sessions", "keys_total", "tightest"}
    for live, saved, _ in answers.values():
        told, again = live.json, saved.json
        assert {k: v for k, v in told.items() if k not in moment} == {
            k: v for k, v in again.items() if k not in moment
        }
        assert told["gaps"] == again["gaps"]
    (drift,) = answers["status"][0].json["drift"]
    (other,) = answers["status"][2].json["drift"]
    assert "zz-\x1b[31m\n\u202eevil" in drift["file"]
    assert "evil" not in other["file"]
    assert {**drift, "file": ""} == {**other, "file": ""}
    assert b"alice" not in redacted
    files = as_json.json["boot"]["files"]
    assert any(file["content"].startswith("# \\xff by alice\n") for file in files)


def test_what_is_only_written_to_the_kernel_is_lost():
    """
    After `sysctl -w` alone nothing persists, and the default that comes back is named.
    """

    def job():
        """Write, and ask."""
        write_settings(ip_local_port_range="15000 64000", tcp_tw_reuse="1")
        return ask("status"), ask("status", "-o", "json"), ask("settings", "-o", "json")

    status, as_json, settings = on_a_host(job)

    answered(
        status,
        "Drift: range is 15000-64000, the next boot gives the kernel's default 32768-60999: "
        "no line sets it. 1 other setting drifts: portroom settings.\n",
    )
    assert [("range", None), ("tcp_tw_reuse", None)] == [
        (one["name"], one["file"]) for one in as_json.json["drift"]
    ]
    assert (None, None, True) == next_boot(setting(settings))
    assert (None, None, False) == next_boot(setting(settings, "reserved"))


def test_without_an_init_that_applies_files_nothing_is_claimed():
    """
    In a container whose process 1 is a program of its own, no drift is told, but why.
    """

    def job():
        """Set and keep the range, and ask."""
        keep_the_range_twice()
        return ask("status"), ask("settings", "range", "-o", "json")

    status, settings = on_a_host(job, init="payments")

    answered(status, "Not seen: boot: nothing is known to apply sysctl files at boot", "payments")
    assert "Drift" not in status.answer
    assert UNKNOWN == next_boot(setting(settings))
    assert 2 == len(setting(settings)["candidates"])


def test_boot_files_do_not_reach_another_namespace():
    """
    Of a second namespace nothing is told to persist, of the host all; both by --all-netns too.
    """

    def job():
        """Make a namespace with the range of the host, and ask."""
        keep_the_range_twice()
        neighbour = Neighbour()
        with neighbour.inside():
            write_settings(ip_local_port_range="15000 64000")
        path = f"/proc/{os.getpid()}/fd/{neighbour._away}"
        Path("/run/netns").mkdir()
        Path("/run/netns/pod").touch()
        LIBC.mount(path.encode(), b"/run/netns/pod", b"", 0x1000, b"")
        return [
            ask("settings", "--netns", "pod", "-o", "json"),
            ask("status", "--netns", "pod"),
            ask("settings", "--all-netns", "-o", "json"),
            ask("settings", "--all-netns"),
            ask("status", "--all-netns", "-o", "json"),
        ]

    settings, status, every, table, statuses = on_a_host(job)

    assert UNKNOWN == next_boot(setting(settings))
    assert "do not reach this namespace, which starts from the kernel's defaults" in (
        settings.reasons
    )
    answered(status, "the boot files of the host do not reach this namespace")
    assert "Drift" not in status.answer
    told = {one["netns"]["name"]: one["settings"][0] for one in every.json["namespaces"]}
    assert ({"host": True, "pod": None}) == {name: one["drift"] for name, one in told.items()}
    answered(
        table,
        f"Drift in host: range is 15000-64000, the next boot gives 15000-65000 ({DROP_IN}:1).",
    )
    assert {"host": 1, "pod": 0} == {
        one["netns"]["name"]: len(one["drift"]) for one in statuses.json["namespaces"]
    }


def test_hostile_names_and_lines_do_not_act():
    """
    A file may be called anything: no screen has a byte of it that acts.
    """

    def job():
        """Let a hostile file decide."""
        Path(HOSTILE).write_bytes(LINE.encode())
        return [
            ask("status"),
            ask("settings", "range"),
            ask("settings", "range", "-o", "wide"),
        ], ask("settings", "range", "-o", "json")

    texts, as_json = on_a_host(job)

    for ended in texts:
        answered(ended, r"zz-\x1b[31m\x0a\u202eevil\xff.conf")
        assert {"\n"} >= {letter for letter in ended.answer if not letter.isprintable()}
    assert "\x1b" not in as_json.answer
    assert HOSTILE.replace("\udcff", r"\xff") == setting(as_json)["persisted_at"]["file"]


@pytest.mark.parametrize("folder", ["/etc/sysctl.d", "/run/sysctl.d"])
def test_a_folder_that_may_not_be_read_is_a_gap(folder):
    """
    A file in it may decide: another user gets no "no drift", root gets the answer.
    """

    def job():
        """Hide a folder from everybody but root."""
        Path(DROP_IN).write_text(LINE)
        Path(folder).mkdir(exist_ok=True)
        Path(folder).chmod(0o700)
        as_root = ask("settings", "range", "-o", "json")
        open_ways()
        become_nobody()
        return as_root, ask("settings", "range", "-o", "json"), ask("status")

    as_root, settings, status = on_a_host(job)

    assert True is setting(as_root)["drift"]
    assert UNKNOWN == next_boot(setting(settings))
    assert f"{folder}: cannot be listed" in settings.reasons
    answered(status, f"Not seen: {folder}: cannot be listed")
    assert "Drift" not in status.answer


def test_a_file_that_never_ends_stops_nothing():
    """
    Where a FIFO lies among the files the boot program waits for it; portroom says so at once.
    """

    def job():
        """Lay a FIFO among the files."""
        os.mkfifo("/etc/sysctl.d/50-pipe.conf")
        return ask("status"), ask("settings", "range", "-o", "json")

    status, settings = on_a_host(job)

    answered(status, "Not seen: /etc/sysctl.d/50-pipe.conf: is a FIFO")
    assert UNKNOWN == next_boot(setting(settings))


def test_a_snapshot_of_an_older_portroom_answers():
    """
    Without the part of the next boot all else is told, and that it is not in the file.
    """

    def job():
        """Take the part out of a file, as one was that knew nothing of it."""
        import zlib

        import msgspec

        ask("snapshot", "--out", "/run/new")
        line, _, parts = Path("/run/new").read_bytes().partition(b"\n")
        document = msgspec.msgpack.decode(zlib.decompress(parts))
        del document["boot"]
        old = zlib.compress(msgspec.msgpack.encode(document))
        header = json.loads(line) | {"compressed_bytes": len(old)}
        Path("/run/old").write_bytes(json.dumps(header).encode() + b"\n" + old)
        return [ask(one, "--snapshot", "/run/old", "-o", "json") for one in ("status", "settings")]

    for ended in on_a_host(job):
        answered(ended)
        assert "boot: not in the file" in ended.reasons
    assert {"first": 32768, "last": 60999} == setting(ended)["current"]
    assert UNKNOWN == next_boot(setting(ended))
