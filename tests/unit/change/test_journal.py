"""An entry is whole or not there, and what cannot be believed is named and not followed."""

import datetime
import errno
import json
import os
import stat
from pathlib import Path

import msgspec
import pytest

from portroom.change import journal
from portroom.change.places import Places
from portroom.errors import ChangeError, NotPermittedError, RefusedError, WriteError
from portroom.model.facts.change import FileContent, FileStep, SettingStep
from portroom.model.facts.journal import DONE, PUT_BACK, TRIAL, UNDO, WRITING, Trial
from tests.e2e.faults import MS_RDONLY, MS_REMOUNT, NOBODY, mount, needs_root, private_mounts
from tests.e2e.seccomp import EQUAL, refuse
from tests.kernel.harness import in_child
from tests.unit.change.made_entries import HERE, RESERVED, entry, places_in


@pytest.fixture
def places(tmp_path):
    """
    Return places below an empty folder.
    """
    return places_in(tmp_path)


def folder(places):
    """Return the folder of the journal."""
    return Path(places.journal)


def file_of(places, number):
    """Return the file of an entry."""
    return folder(places) / f"{number:010d}.json"


def begin_some(places, count):
    """Begin and close some entries."""
    for _ in range(count):
        journal.update(places, closed(journal.begin(places, entry())))


def closed(begun, phase=DONE, **fields):
    """Return an entry that has ended."""
    at = datetime.datetime(2026, 1, 2, 3, 4, 6, tzinfo=datetime.UTC)
    return msgspec.structs.replace(begun, phase=phase, ended_at=at, outcome="So.", **fields)


def test_a_host_without_a_journal_has_no_entries(places):
    """
    Nothing is made for looking.
    """
    assert journal.JournalRead() == journal.read(places)
    assert not folder(places).parent.exists()


def test_entries_come_back_as_they_are(places):
    """
    With all kinds of steps, a trial, and an outcome; the oldest first.
    """
    deadline = datetime.datetime(2026, 1, 2, 3, 6, 5, tzinfo=datetime.UTC)
    file = FileStep("/etc/sysctl.d/90-portroom.conf", None, FileContent(b"\x00\xff\n", 0o600), True)
    long = SettingStep(HERE, RESERVED, "", ",".join(map(str, range(1, 65536, 2))))
    begun = [
        journal.begin(places, entry()),
        journal.begin(places, entry(long, file)),
        journal.begin(places, entry(phase=TRIAL, trial=Trial(123.25, deadline, persist=True))),
    ]
    begun[0] = closed(begun[0], PUT_BACK)
    journal.update(places, begun[0])

    found = journal.read(places)

    assert [1, 2, 3] == [one.number for one in begun]
    assert (tuple(begun), ()) == found
    assert begun[1] == journal.read_entry(places, 2)


def test_an_entry_can_be_read_by_everybody_and_with_cat(places):
    """
    One line of JSON of mode 0644, whatever the umask is; nothing lies beside it.
    """

    def job():
        """Begin with an umask that forbids all to others."""
        os.umask(0o077)
        journal.begin(places, entry())

    in_child(job)

    (path,) = folder(places).iterdir()
    assert "0000000001.json" == path.name
    assert 0o644 == stat.S_IMODE(path.stat().st_mode)
    assert path.read_bytes().endswith(b"}\n")
    assert WRITING == json.loads(path.read_bytes())["phase"]


def test_an_undo_that_is_done_says_so_of_the_entry_it_undid(places):
    """
    One that is under way, or was put back, does not.
    """
    begin_some(places, 2)
    journal.begin(places, entry(action=UNDO, undoes=1))
    undo = journal.begin(places, entry(action=UNDO, undoes=2))

    before = [one.undone_by for one in journal.read(places).entries]
    journal.update(places, closed(undo))
    after = [one.undone_by for one in journal.read(places).entries]

    assert [None] * 4 == before
    assert [None, 4, None, None] == after


def altered(**fields):
    """Return a maker of an entry's file with other fields."""
    return lambda whole: json.dumps(json.loads(whole) | fields).encode()


STEP = {"kind": "setting", "netns": {"name": "a", "cookie": 1, "inode": 1, "kind": "host"}}
RANGE = "net.ipv4.ip_local_port_range"
CHANGE = {"name": "range", "key": RANGE, "before": "", "after": ""}
TRIED = {"deadline_boottime_s": 1.0, "deadline_at": "2026-01-02T03:04:05Z", "persist": True}


def file_step(mode):
    """Return a step that made our file, which then had these permission bits."""
    content = {"content": "", "mode": mode}
    path = "/etc/sysctl.d/90-portroom.conf"
    return {"kind": "file", "path": path, "before": None, "after": content}


DAMAGED = {
    "empty": (lambda _: b"", "it is damaged"),
    "cut short": (lambda whole: whole[: len(whole) // 2], "it is damaged"),
    "zeros": (lambda whole: bytes(len(whole)), "it is damaged"),
    "no UTF-8": (lambda whole: whole.replace(b"root", b"\xff\xfe"), "it is damaged"),
    "a list": (lambda _: b"[]", "it is damaged"),
    "another thing": (lambda _: b'{"schema_version": 1}', "it is damaged"),
    "very deep": (lambda _: b'{"schema_version": 1, "a": ' + b"[" * 100_000, "it is damaged"),
    "a later version": (altered(schema_version=2), "it has version 2"),
    "a wrong number": (altered(number=7), "it says that it is number 7"),
    "a huge number": (altered(number=10**400), "it is damaged"),
    "a wrong phase": (altered(phase="asleep"), "'set asleep' is nothing that"),
    "a wrong action": (altered(action="rm -rf"), "'rm -rf writing' is nothing that"),
    "no step": (altered(steps=[]), "it is open and has no steps"),
    "a time without zone": (altered(started_at="2026-01-02T03:04:05"), "has no time zone"),
    "half a character": (lambda whole: whole.replace(b'"root"', b'"\\ud800"'), "it is damaged"),
    "another sysctl": (
        altered(steps=[STEP | {"key": "kernel.core_pattern", "before": "|/x", "after": "core"}]),
        "portroom does not write 'kernel.core_pattern'",
    ),
    "a sysctl by a way around": (
        altered(steps=[STEP | {"key": "net/../kernel.core_pattern", "before": "", "after": ""}]),
        "portroom does not write",
    ),
    "a setting that is none of its values": (
        altered(steps=[STEP | {"key": RANGE, "before": "1 2 3", "after": "1 2"}]),
        "expected two ports, got '1 2 3'",
    ),
    "another file": (
        altered(steps=[{"kind": "file", "path": "/etc/passwd", "before": None, "after": None}]),
        "portroom does not write '/etc/passwd'",
    ),
    "a file that others may write": (altered(steps=[file_step(0o666)]), "of mode 0o666"),
    "a file that becomes another user": (altered(steps=[file_step(0o4755)]), "of mode 0o4755"),
    "a mode below zero": (altered(steps=[file_step(-1)]), "of mode -0o1"),
    "a mode that is too large": (altered(steps=[file_step(2**31)]), "of mode 0o20000000000"),
    "a change of another sysctl": (
        altered(changes=[CHANGE | {"key": "kernel.core_pattern"}]),
        "portroom does not write 'kernel.core_pattern'",
    ),
    "a trial of another sysctl": (
        altered(trial=TRIED | {"values": {"net.ipv4.tcp_max_tw_buckets": "5"}}),
        "portroom does not write 'net.ipv4.tcp_max_tw_buckets'",
    ),
    "a trial of what is no value": (
        altered(trial=TRIED | {"values": {RANGE: "1 2\nkernel.core_pattern = |/x"}}),
        "ip_local_port_range: ",
    ),
    "a time before all": (
        altered(started_at="0001-01-01T00:00:00+14:00"),
        "a time is none that a clock shows",
    ),
    "a time after all": (
        altered(ended_at="9999-12-31T23:59:59-14:00"),
        "a time is none that a clock shows",
    ),
    "a trial without an end": (altered(phase="trial"), "a trial without a deadline"),
    "a step of another kind": (altered(steps=[{"kind": "command", "run": "x"}]), "it is damaged"),
}


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_entry_is_named_and_the_others_are_read(places, how):
    """
    It is never an exception for who lists, and never followed.
    """
    begin_some(places, 1)
    journal.begin(places, entry())
    journal.begin(places, entry())
    make, reason = DAMAGED[how]
    path = file_of(places, 2)
    path.write_bytes(make(path.read_bytes()))

    found = journal.read(places)

    assert [1, 3] == [one.number for one in found.entries]
    (unreadable,) = found.unreadable
    assert (2, str(path)) == unreadable[:2]
    assert reason in unreadable.reason
    assert [(str(path), ("entries",))] == [(gap.source, gap.affects) for gap in found.gaps]
    with pytest.raises(RefusedError, match="cannot be relied on") as caught:
        journal.read_entry(places, 2)
    assert str(path) in caught.value.message
    assert len(caught.value.message) < 1000


def replace_by_link(path):
    """Put a link to a good entry there."""
    path.rename(path.with_name("kept"))
    path.symlink_to("kept")


def replace_by_fifo(path):
    """Put a FIFO there."""
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path):
    """Put a folder there."""
    path.unlink()
    path.mkdir()


HOSTILE = {
    "link": (replace_by_link, "symbolic links"),
    "FIFO": (replace_by_fifo, "no regular file"),
    "folder": (replace_by_folder, "no regular file"),
    "huge": (lambda path: os.truncate(path, 65 << 20), "more than any entry"),
    "others write": (lambda path: path.chmod(0o646), "others may write it"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_what_portroom_did_not_write_is_not_followed(places, how):
    """
    Nothing hangs, nothing is read elsewhere, and the others are read.
    """
    begin_some(places, 2)
    prepare, reason = HOSTILE[how]
    prepare(file_of(places, 1))

    found = journal.read(places)

    assert [2] == [one.number for one in found.entries]
    assert reason in found.unreadable[0].reason
    with pytest.raises(RefusedError, match=reason):
        journal.read_entry(places, 1)


@needs_root
def test_an_entry_of_another_user_is_not_followed(places):
    """
    Root does not carry out what somebody else wrote.
    """
    begin_some(places, 1)
    os.chown(file_of(places, 1), NOBODY, NOBODY)

    assert f"belongs to user {NOBODY}" in journal.read(places).unreadable[0].reason


def test_a_folder_that_others_write_holds_nothing_that_is_believed(places):
    """
    It is told in place of the entries, and nothing is written there.
    """
    begin_some(places, 1)
    folder(places).chmod(0o777)

    found = journal.read(places)

    assert () == found.entries
    assert (0, places.journal) == found.unreadable[0][:2]
    with pytest.raises(RefusedError, match="others may write it"):
        found.refuse_after(10**9)
    with pytest.raises(RefusedError, match="others may write it"):
        journal.begin(places, entry())


@needs_root
def test_a_folder_that_may_not_be_read_is_told(places):
    """
    Whoever lists learns why there is nothing.
    """
    begin_some(places, 1)
    folder(places).chmod(0o700)
    for around in list(folder(places).parents)[:4]:
        around.chmod(around.stat().st_mode | 0o055)

    def job():
        """Read as nobody."""
        os.setresuid(NOBODY, NOBODY, NOBODY)
        return journal.read(places)

    assert "Permission denied" == in_child(job).unreadable[0].reason


def test_who_acts_is_stopped_by_a_later_entry_that_cannot_be_read(places):
    """
    It may be the one to act on; an earlier one is not.
    """
    begin_some(places, 3)
    file_of(places, 2).write_bytes(b"")
    found = journal.read(places)

    found.refuse_after(2)
    with pytest.raises(RefusedError, match=r"0000000002\.json") as caught:
        found.refuse_after(1)
    assert 4 == caught.value.exit_status


def test_an_entry_that_does_not_exist_is_told(places):
    """
    In a journal, and where there is none.
    """
    with pytest.raises(RefusedError, match="No such file"):
        journal.read_entry(places, 1)
    begin_some(places, 1)
    with pytest.raises(RefusedError, match="no change 2"):
        journal.read_entry(places, 2)


def test_numbers_go_on_after_what_cannot_be_read(places):
    """
    No number is given twice, whoever damaged the entry that has it.
    """
    begin_some(places, 2)
    file_of(places, 2).write_bytes(b"")

    assert 3 == journal.begin(places, entry()).number


def test_a_number_of_a_trial_is_not_given_again(places):
    """
    Whatever became of its entry: a guardian would take one for the other.
    """
    begin_some(places, 1)
    Path(places.run).mkdir(parents=True)
    for name in ("trial-1", "trial-2", "trial-4"):
        Path(places.run, name).touch()

    assert [3, 5] == [journal.begin(places, entry()).number for _ in range(2)]


def test_the_last_number_is_told(places):
    """
    A planted file with it does not make names that nobody finds again.
    """
    begin_some(places, 1)
    file_of(places, 9_999_999_999).touch()

    with pytest.raises(RefusedError, match=r"9999999999\.json has the last number"):
        journal.begin(places, entry())


def test_other_names_are_no_entries(places):
    """
    Drafts, copies and files of others are passed over.
    """
    begin_some(places, 1)
    for name in ("1.json", "0000000002.json.bak", ".0000000003.json.new", "٠٠٠٠٠٠٠٠٠٤.json"):
        (folder(places) / name).touch()

    found = journal.read(places)

    assert ([1], ()) == ([one.number for one in found.entries], found.unreadable)


def test_what_a_writer_that_died_left_is_removed(places):
    """
    By the next change, and by who recovers; the names of others stay.
    """
    begin_some(places, 1)
    left, other = folder(places) / ".0000000001.json.new", folder(places) / ".other.new"

    left.touch()
    other.touch()
    journal.begin(places, entry())
    after_begin = left.exists()
    left.touch()
    journal.remove_drafts(places)

    assert (False, False, True) == (after_begin, left.exists(), other.exists())


def test_a_folder_in_the_place_of_a_draft_is_told(places):
    """
    It is not removed with what may be in it.
    """
    begin_some(places, 1)
    (folder(places) / ".0000000001.json.new").mkdir()

    with pytest.raises(WriteError, match="left by a change that died, could not be removed"):
        journal.begin(places, entry())
    with pytest.raises(WriteError, match=r"0000000001\.json could not be written"):
        journal.update(places, journal.read_entry(places, 1))


def test_the_oldest_closed_entries_go(places, monkeypatch):
    """
    So many stay; what is open, and what cannot be read, stays in addition.
    """
    monkeypatch.setattr(journal, "KEPT", 3)
    journal.begin(places, entry())
    begin_some(places, 2)
    file_of(places, 2).write_bytes(b"")
    begin_some(places, 5)

    assert [1, 2, 5, 6, 7, 8] == [int(path.stem) for path in sorted(folder(places).iterdir())]


def test_text_that_is_none_is_refused(places):
    """
    Bytes of a command line that are no UTF-8 cannot be kept, and nothing is left.
    """
    with pytest.raises(RefusedError, match="no UTF-8"):
        journal.begin(places, entry(outcome="\udcff"))

    assert [] == list(folder(places).iterdir())


CALLS = {
    "openat": [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT],
    "fsync": [errno.EIO, errno.ENOSPC],
    "fchmod": [errno.EROFS, errno.EIO],
    "renameat": [errno.ENOSPC, errno.EIO, errno.EROFS],
    "mkdirat": [errno.ENOSPC, errno.EIO, errno.EROFS],
}


def after_refusal(job, call, error, *tests):
    """Return the error that *job* raises where the kernel lets a call of it fail."""

    def refused():
        """Do it behind the filter."""
        refuse(call, *tests, error=error)()
        try:
            job()
        except (WriteError, NotPermittedError, RefusedError) as told:
            return type(told).__name__, told.exit_status, told.message
        return None

    return in_child(refused)


@pytest.mark.parametrize(("call", "error"), [(c, e) for c, every in CALLS.items() for e in every])
def test_a_system_call_that_fails_leaves_no_new_entry(places, call, error):
    """
    Whichever it is: nothing half written is seen, and the sentence names the journal.
    """
    if call != "mkdirat":
        begin_some(places, 1)
    before = sorted(folder(places).glob("*"))

    told = after_refusal(lambda: journal.begin(places, entry()), call, error)

    assert ("WriteError", 4) == told[:2]
    assert places.journal in told[2]
    assert before == sorted(folder(places).glob("*"))


@pytest.mark.parametrize("descriptor", range(3, 12))
def test_a_sync_that_fails_leaves_no_new_entry(places, descriptor):
    """
    Whether of the file or of the folder: who is told that it failed finds nothing.
    """
    begin_some(places, 1)
    told = after_refusal(
        lambda: journal.begin(places, entry()), "fsync", errno.EIO, (0, EQUAL, descriptor)
    )

    left = [path.name for path in sorted(folder(places).iterdir())]

    assert ["0000000001.json", *(["0000000002.json"] if told is None else [])] == left


@pytest.mark.parametrize(("call", "error"), [("openat", errno.ENOSPC), ("renameat", errno.EIO)])
def test_an_update_that_fails_leaves_the_entry(places, call, error):
    """
    As it was, byte for byte.
    """
    begun = journal.begin(places, entry())
    before = file_of(places, 1).read_bytes()

    told = after_refusal(lambda: journal.update(places, closed(begun)), call, error)

    assert "WriteError" == told[0]
    assert [before] == [path.read_bytes() for path in folder(places).iterdir()]


@needs_root
def test_a_full_disk_leaves_no_half_entry(tmp_path):
    """
    However much room there is: each entry is whole, and the error says why no more.
    """

    def job():
        """Fill a small disk with entries, whose lists are of all lengths."""
        private_mounts()
        mount("tmpfs", str(tmp_path), "tmpfs", options="size=64k,mode=755")
        places, told = places_in(tmp_path), []
        for count in range(100, 2500, 100):
            ports = ",".join(str(port) for port in range(1, 2 * count, 2))
            try:
                begun = journal.begin(places, entry(SettingStep(HERE, RESERVED, "", ports)))
                journal.update(places, closed(begun))
            except WriteError as error:
                told.append(error.message)
        return journal.read(places), told, list(folder(places).iterdir())

    found, told, names = in_child(job)

    assert found.entries
    assert () == found.unreadable
    assert len(names) == len(found.entries)
    assert all("the file system is full" in one for one in told)
    assert told


@needs_root
def test_a_disk_that_became_read_only_is_told(tmp_path):
    """
    Nothing is as asked, and all of it can still be read.
    """

    def job():
        """Begin, remount, and go on."""
        private_mounts()
        mount("tmpfs", str(tmp_path), "tmpfs", options="mode=755")
        places = places_in(tmp_path)
        begun = journal.begin(places, entry())
        mount("", str(tmp_path), "", MS_REMOUNT | MS_RDONLY)
        told = []
        for write in (
            lambda: journal.begin(places, entry()),
            lambda: journal.update(places, closed(begun)),
        ):
            try:
                write()
            except WriteError as error:
                told.append(error.message)
        return told, journal.read(places).entries == (begun,)

    told, same = in_child(job)

    assert 2 == sum("the file system is read-only" in one for one in told)
    assert same


@needs_root
def test_who_may_not_write_the_journal_is_told(places):
    """
    With exit status 4 and a way out.
    """
    begin_some(places, 1)
    for around in list(folder(places).parents)[:4]:
        around.chmod(around.stat().st_mode | 0o055)

    def job():
        """Try as nobody."""
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            journal.begin(Places(places.journal, places.run), entry())
        except ChangeError:
            return None
        except NotPermittedError as error:
            return error.exit_status, error.hint
        return None

    status, hint = in_child(job)

    assert 4 == status
    assert "XDG_STATE_HOME" in hint
