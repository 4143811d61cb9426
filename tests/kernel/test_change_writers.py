"""Eight writers at once: no entry is lost, no number given twice, no value torn."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from pathlib import Path

from portroom.change import journal
from portroom.change.lock import locked
from portroom.change.places import Places
from portroom.change.settings import read_canonical
from portroom.change.who import read_who
from portroom.kernel import namespaces
from portroom.model.facts.change import SettingStep
from portroom.model.facts.journal import DONE
from portroom.model.facts.ports import PortSet
from tests.e2e.faults import alone, mount, needs_root, open_ways
from tests.kernel import needs
from tests.kernel.bystanders import drop_rights
from tests.kernel.harness import in_child
from tests.kernel.test_change_settings import RANGE, RESERVED
from tests.unit.change.made_entries import carried_out, entry, places_in

WRITERS = 8
ROUNDS = needs.rounds(200, in_guest=20)

pytestmark = needs_root


def toggle(places, port):
    """Add a port to the reserved ones, or remove it, as a change that sees all before it."""
    with locked(places):
        before = PortSet.parse(read_canonical(RESERVED))
        ports = set(before) ^ {port}
        step = SettingStep(
            namespaces.identify(), RESERVED, str(before), str(PortSet.of(sorted(ports)))
        )
        return carried_out(places, entry(step)).number


def write_rounds(places, port):
    """Be one writer: change the list again and again; return the numbers of the entries."""
    return [toggle(places, port) for _ in range(ROUNDS)]


def all_writers(places):
    """Let all writers run at once, and return the numbers that each got."""
    results, children = [], []
    for writer in range(WRITERS):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                numbers = write_rounds(places, 2000 + 2 * writer)
                os.write(writing, " ".join(map(str, numbers)).encode())
                code = 0
            finally:
                os._exit(code)
        os.close(writing)
        children.append((child, reading))
    for child, reading in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        results.append([int(word) for word in os.read(reading, 1 << 16).split()])
    return results


def names(folder):
    """Return the names in a folder, in order."""
    return sorted(path.name for path in Path(folder).iterdir())


def test_eight_writers_lose_nothing(monkeypatch):
    """
    Each entry begins where the one before ended, numbers have no holes, and each list is whole.
    """
    monkeypatch.setattr(journal, "KEPT", WRITERS * ROUNDS)

    def job():
        """Write, with the journal on a file system of its own."""
        places = Places("/run/lib/portroom/journal", "/run/portroom")
        Path("/run/lib").mkdir()
        numbers = all_writers(places)
        return numbers, journal.read(places), read_canonical(RESERVED), (
            names(places.journal), names(places.run)
        )  # fmt: skip

    numbers, found, held, (files, left) = alone(job)
    total = WRITERS * ROUNDS

    assert list(range(1, total + 1)) == sorted(number for one in numbers for number in one)
    assert list(range(1, total + 1)) == [one.number for one in found.entries]
    assert () == found.unreadable
    assert {DONE} == {one.phase for one in found.entries}
    steps = [one.steps[0] for one in found.entries]
    assert [step.after for step in steps[:-1]] == [step.before for step in steps[1:]]
    assert ("", "") == (steps[0].before, held)
    assert (total, ["lock"]) == (len(files), left)


def test_a_writer_that_is_killed_stops_nobody():
    """
    Killed at any moment, it leaves the lock free and entries whole; its own is open at worst.
    """

    def job():
        """Kill one writer after the other, each after a little more work."""
        places = Places("/run/lib/portroom/journal", "/run/portroom")
        Path("/run/lib").mkdir()
        for count in range(1, 16):
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    while True:
                        toggle(places, 2000)
                        os.write(writing, b".")
                finally:
                    os._exit(1)
            os.close(writing)
            os.read(reading, count)
            os.kill(child, 9)
            os.waitpid(child, 0)
            os.close(reading)
            with locked(places, 1.0):
                journal.remove_drafts(places)
        found = journal.read(places)
        return found.unreadable, len(found.entries), names(places.journal)

    unreadable, count, files = alone(job)

    assert () == unreadable
    assert [f"{number:010d}.json" for number in range(1, count + 1)] == files


RIGHTS = ["--reuid=1000", "--regid=1000", "--clear-groups"]
RIGHTS += ["--inh-caps=+net_admin", "--ambient-caps=+net_admin"]

CHANGE = """
import sys, datetime
from portroom.change.lock import locked
from portroom.change.places import find_places
from portroom.change.transaction import changing
from portroom.change.who import read_who
from portroom.kernel.namespaces import identify
from portroom.model.facts.change import Request, SettingStep
from portroom.model.facts.journal import SET, Entry
step = SettingStep(identify(), "net.ipv4.ip_local_port_range", "32768 60999", "15000 64001")
entry = Entry(number=0, action=SET, started_at=datetime.datetime.now(datetime.UTC), boot_id="b",
              who=read_who(), request=Request(("range=15000-64001",)), changes=(), steps=(step,))
places = find_places()
with locked(places), changing(places, entry) as change:
    change.write()
done = change.entry
print(*places, done.number, done.phase, done.who.uid)
"""


def test_a_user_with_the_capability_keeps_a_journal_of_their_own():
    """
    CAP_NET_ADMIN alone is enough for a whole change, in folders that are theirs.
    """

    def job():
        """Change something as that user; HOME is still root's."""
        open_ways()
        mount("tmpfs", "/var/lib", "tmpfs", options="mode=755")
        home = Path("/run/home")
        home.mkdir()
        os.chown(home, 1000, 1000)
        done = subprocess.run(
            ["setpriv", *RIGHTS, sys.executable, "-c", CHANGE],
            env={"HOME": "/root", "XDG_STATE_HOME": str(home), "LANG": "C.UTF-8"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        left = [path for path in (Path("/var/lib"), Path("/run")) for path in path.iterdir()]
        return done.stdout, done.stderr, read_canonical(RANGE), [str(path) for path in left]

    out, err, held, left = alone(job)

    state = "/run/home/portroom"
    assert (f"{state}/journal {state}/run 1 done 1000\n", "") == (out, err)
    assert "15000 64001" == held
    assert not any("/portroom" in path for path in left)


def test_uid_0_without_capabilities_changes_as_root_does():
    """
    It owns the settings and the folders: the change is live and in the system's journal.
    """

    def job():
        """Give up all capabilities, then change."""
        mount("tmpfs", "/var/lib", "tmpfs", options="mode=755")
        drop_rights()
        done = subprocess.run(
            [sys.executable, "-c", CHANGE], capture_output=True, text=True, check=False
        )
        return done.stdout, done.stderr, read_canonical(RANGE)

    expected = "/var/lib/portroom/journal /run/portroom 1 done 0\n"
    assert (expected, "", "15000 64001") == alone(job)


def test_the_entry_of_a_real_process_can_be_kept(tmp_path):
    """
    Who it is, with any command line, comes back as it was.
    """
    places = places_in(tmp_path)
    now = datetime.datetime.now(datetime.UTC)
    begun = journal.begin(places, entry(who=read_who(), started_at=now))

    assert begun == in_child(lambda: journal.read_entry(places, 1))
