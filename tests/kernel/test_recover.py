"""
What a crash left is put back, value by value, on real settings.

The entries are made as the crash would have left them, in every phase; what the
programs do that crash is tested with the real commands in ``tests/e2e``.
"""

import datetime
import os
from pathlib import Path

import msgspec
import pytest

from portroom.change import journal, trials
from portroom.change.confirm import confirm_trial
from portroom.change.recover import recover, take_back
from portroom.errors import ChangeError, ConflictError, RefusedError, RollbackError, WriteError
from portroom.kernel.namespaces import identify
from portroom.kernel.trials import boottime_s, read_boot_id, read_trials
from portroom.model.facts.change import FileContent, FileStep, SettingStep
from portroom.model.facts.journal import (
    CONFLICT,
    DONE,
    NETNS_GONE,
    PERSISTING,
    PUT_BACK,
    TRIAL,
    UNDO,
    WRITING,
    Trial,
)
from tests.e2e.faults import (
    MS_BIND,
    MS_RDONLY,
    MS_REMOUNT,
    alone,
    mount,
    needs_root,
    private_mounts,
)
from tests.kernel.harness import enter_new_namespace, in_child, read_setting, write_settings
from tests.unit.change.made_entries import entry, places_in

pytestmark = needs_root

KEY = "net.ipv4.tcp_tw_reuse"
RANGE = "net.ipv4.ip_local_port_range"
OLD, NEW = FileContent(b"# old\n"), FileContent(b"# new\n")
ANOTHER_BOOT = "00000000-0000-4000-8000-000000000000"


def reuse(before="2", after="1"):
    """Return a step of this namespace."""
    return SettingStep(identify(), KEY, before, after)


def kept(places, *steps, **fields):
    """Return an entry that stands in the journal as a crash left it."""
    begun = journal.begin(places, entry(*steps, **({"boot_id": read_boot_id()} | fields)))
    if begun.trial is not None:
        os.close(trials.hold(places, begun))
    return begun


def until(left_s):
    """Return a trial that lasts so much longer."""
    return Trial(boottime_s() + left_s, datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC))


LATE, IN_TIME = -1.0, 60.0


STATE, FOLDER = Path("/run/state"), Path("/etc/sysctl.d")


@pytest.fixture
def host():
    """
    Return a function that runs a job with places, a folder for files, and settings of its own.

    In a folder in which everybody may write, as those for tests are, portroom keeps no file.
    """

    def run(job, **settings):
        def within():
            """Have all that the job works on."""
            mount("tmpfs", "/etc", "tmpfs", options="mode=755")
            FOLDER.mkdir(mode=0o755)
            write_settings(**settings)
            return job(places_in(STATE), FOLDER)

        return alone(within)

    return run


def ended(places, number=1):
    """Return phase and outcome of an entry as they stand on the disk."""
    one = journal.read_entry(places, number)
    return one.phase, one.outcome


def test_a_change_that_was_being_written_is_put_back(host):
    """
    Whether all, some or none of its steps were written: nothing of it is left, and it is told.
    """

    def job(places, _):
        """Leave an entry of which the first step was written."""
        kept(places, reuse(), SettingStep(identify(), RANGE, "32768 60999", "15000 64001"))
        touched = recover(places)
        return touched, read_setting("tcp_tw_reuse"), ended(places), recover(places)

    touched, now, end, again = host(job, tcp_tw_reuse=1)

    assert [PUT_BACK] == [one.phase for one in touched]
    assert touched[0].ended_at is not None
    assert "2" == now
    assert (PUT_BACK, "Put back: it did not complete.") == end
    assert () == again


def test_an_undo_that_was_being_written_is_put_back(host):
    """
    The change that it was to take back stands again, and can be undone again.
    """

    def job(places, _):
        """Leave a change, and an undo that died after its write."""
        kept(places, reuse(), phase=DONE)
        kept(places, reuse("1", "2"), action=UNDO, undoes=1)
        recover(places)
        first, _ = journal.read(places).entries
        return read_setting("tcp_tw_reuse"), first, ended(places, 2)

    now, first, (phase, _) = host(job, tcp_tw_reuse=2)

    assert "1" == now
    assert (DONE, None) == (first.phase, first.undone_by)
    assert PUT_BACK == phase


def test_a_trial_past_its_deadline_is_taken_back(host):
    """
    The value of before holds, and no command tells of the trial any more.
    """

    def job(places, _):
        """Leave a trial whose guardian was killed."""
        kept(places, reuse(), phase=TRIAL, trial=until(LATE))
        before = read_trials(places.run).trials
        recover(places)
        return before, read_setting("tcp_tw_reuse"), ended(places), read_trials(places.run).trials

    before, now, end, after = host(job, tcp_tw_reuse=1)

    assert [False] == [one.guarded for one in before]
    assert before[0].is_overdue
    assert "2" == now
    assert (PUT_BACK, "Taken back: nobody confirmed it in time.") == end
    assert () == after


def test_a_trial_in_time_is_left_alone(host):
    """
    Recover touches nothing that may still be confirmed.
    """

    def job(places, _):
        """Leave a trial that goes on."""
        kept(places, reuse(), phase=TRIAL, trial=until(IN_TIME))
        return recover(places), read_setting("tcp_tw_reuse"), read_trials(places.run).trials

    touched, now, pending = host(job, tcp_tw_reuse=1)

    assert ((), "1") == (touched, now)
    assert [1] == [one.number for one in pending]


@pytest.mark.parametrize("content", [OLD, NEW], ids=["before", "after"])
def test_a_confirmation_that_broke_off_leaves_a_trial(host, content):
    """
    The file is put back, whether it was written or not; the value stays until the deadline.
    """

    def job(places, folder):
        """Leave a trial that was being confirmed."""
        file = folder / "90-portroom.conf"
        file.write_bytes(content.content)
        (folder / ".portroom.new").write_bytes(b"# n")
        steps = reuse(), FileStep(str(file), OLD, NEW)
        kept(places, *steps, phase=PERSISTING, trial=until(IN_TIME))
        (touched,) = recover(places)
        names = [path.name for path in folder.iterdir()]
        return touched, file.read_bytes(), names, read_setting("tcp_tw_reuse")

    touched, bytes_now, names, now = host(job, tcp_tw_reuse=1)

    assert TRIAL == touched.phase
    assert [KEY] == [step.key for step in touched.steps]
    assert OLD.content == bytes_now
    assert ["90-portroom.conf"] == names
    assert "1" == now


def test_a_confirmation_that_broke_off_long_ago_is_taken_back_whole(host):
    """
    Past its deadline both the file and the value are as before.
    """

    def job(places, folder):
        """Leave a trial that was being confirmed, and whose time is over."""
        file = folder / "90-portroom.conf"
        file.write_bytes(NEW.content)
        steps = reuse(), FileStep(str(file), None, NEW)
        kept(places, *steps, phase=PERSISTING, trial=until(LATE))
        recover(places)
        return file.exists(), read_setting("tcp_tw_reuse"), ended(places)

    exists, now, (phase, _) = host(job, tcp_tw_reuse=1)

    assert not exists
    assert "2" == now
    assert PUT_BACK == phase


def test_what_somebody_else_set_is_left_and_told(host):
    """
    A value that is neither ours nor that of before stays; the others go back all the same.
    """

    def job(places, _):
        """Leave a trial of two settings, one of which was changed since."""
        wider = SettingStep(identify(), RANGE, "32768 60999", "15000 64001")
        kept(places, wider, reuse(), phase=TRIAL, trial=until(LATE))
        (touched,) = recover(places)
        return touched, read_setting("ip_local_port_range"), read_setting("tcp_tw_reuse")

    touched, ports, now = host(job, tcp_tw_reuse=1, ip_local_port_range="20000 29999")

    assert CONFLICT == touched.phase
    assert "20000 29999" in touched.outcome
    assert ["20000", "29999"] == ports.split()
    assert "2" == now


def test_a_namespace_that_ended_took_its_values_along(host):
    """
    That is no error: the entry says so, and a new namespace of that name is not touched.
    """

    def job(places, _):
        """Leave a trial in a namespace, and be in another one then."""
        step = reuse()
        kept(places, step, phase=TRIAL, trial=until(LATE))
        enter_new_namespace()
        write_settings(tcp_tw_reuse=1)
        (touched,) = recover(places)
        return touched, read_setting("tcp_tw_reuse")

    touched, now = host(job, tcp_tw_reuse=1)

    assert NETNS_GONE == touched.phase
    assert "namespace" in touched.outcome
    assert "1" == now


@pytest.mark.parametrize("phase", [WRITING, TRIAL, PERSISTING])
def test_after_a_reboot_only_the_file_is_put_back(host, phase):
    """
    The values died with the boot: what the same setting holds now is not touched.
    """

    def job(places, folder):
        """Leave an entry of another boot, whose file was written."""
        file = folder / "90-portroom.conf"
        file.write_bytes(NEW.content)
        steps = (reuse(), FileStep(str(file), OLD, NEW)) if phase != TRIAL else (reuse(),)
        left = kept(places, *steps, phase=phase, trial=until(IN_TIME), boot_id=ANOTHER_BOOT)
        pending = read_trials(places.run).trials
        recover(places)
        return left, pending, file.read_bytes(), read_setting("tcp_tw_reuse"), ended(places)

    _, pending, content, now, end = host(job, tcp_tw_reuse=1)

    assert () == pending
    assert (NEW if phase == TRIAL else OLD).content == content
    assert "1" == now
    told = "in the file alone, as the system has booted since."
    assert (PUT_BACK, f"Put back {'by the reboot.' if phase == TRIAL else told}") == end


def read_only_settings():
    """Make /proc/sys read-only for this process, as in most containers."""
    mount("/proc/sys", "/proc/sys", "", MS_BIND)
    mount("none", "/proc/sys", "", MS_REMOUNT | MS_BIND | MS_RDONLY)


def test_what_cannot_be_put_back_stays_open(host):
    """
    Exit status 5, with the state and how to mend it; all else is recovered, and later this, too.
    """

    def job(places, folder):
        """Leave a value that may not be written now, and a file that may."""
        file = folder / "90-portroom.conf"
        file.write_bytes(NEW.content)
        kept(places, FileStep(str(file), None, NEW))
        kept(places, reuse())

        def barred():
            """Recover where /proc/sys is read-only."""
            private_mounts()
            read_only_settings()
            with pytest.raises(RollbackError) as error:
                recover(places)
            return error.value

        error = in_child(barred)
        middle = ended(places, 1), ended(places, 2), file.exists()
        return error, middle, recover(places), read_setting("tcp_tw_reuse")

    error, (first, second, exists), (touched,), now = host(job, tcp_tw_reuse=1)

    assert 5 == error.exit_status
    assert KEY in error.message
    assert "recover" in error.hint
    assert ((PUT_BACK, False), (WRITING, "")) == ((first[0], exists), second)
    assert (2, PUT_BACK) == (touched.number, touched.phase)
    assert "2" == now


def test_drafts_and_files_of_trials_that_ended_go(host):
    """
    What a writer that died left half written is removed, and nothing else.
    """

    def job(places, _):
        """Leave a draft of the journal, one of a trial, and the file of one that ended."""
        kept(places, reuse(), phase=TRIAL, trial=until(IN_TIME))
        closed = kept(places, reuse(), phase=TRIAL, trial=until(IN_TIME))
        journal.update(places, msgspec.structs.replace(closed, phase=DONE))
        Path(places.journal, ".0000000002.json.new").write_bytes(b"{")
        Path(places.run, ".trial-9.new").write_bytes(b"{")
        recover(places)
        return [sorted(path.name for path in Path(folder).iterdir()) for folder in places]

    books, run = host(job, tcp_tw_reuse=1)

    assert ["0000000001.json", "0000000002.json"] == books
    assert ["trial-1"] == run


def test_a_damaged_entry_is_told_once_all_others_were_recovered(host):
    """
    What can be read is recovered; then the file is named, and what may be its trial stays seen.
    """

    def job(places, _):
        """Leave a change that died beside a file that is none, of which there is a trial."""
        kept(places, reuse())
        lost = kept(places, reuse(), trial=until(IN_TIME), phase=TRIAL)
        Path(places.journal, "0000000002.json").write_bytes(b"{")
        with pytest.raises(RefusedError) as refused:
            recover(places)
        seen = [one.number for one in read_trials(places.run).trials]
        return str(refused.value), seen, lost.number, ended(places)[0], read_setting("tcp_tw_reuse")

    told, seen, number, phase, now = host(job, tcp_tw_reuse=1)

    assert "journal/0000000002.json: it is damaged" in told
    assert [number] == seen
    assert (PUT_BACK, "2") == (phase, now)


def test_a_confirmed_trial_holds(host):
    """
    It is done, its file is written, and nothing is taken back any more.
    """

    def job(places, folder):
        """Confirm a trial that shall hold at the next boot, too."""
        file = folder / "90-portroom.conf"
        one = kept(places, reuse(), phase=TRIAL, trial=until(IN_TIME))
        closed = confirm_trial(places, one, [FileStep(str(file), None, NEW)])
        return closed, file.read_bytes(), recover(places), read_trials(places.run).trials

    closed, content, *nothing = host(job, tcp_tw_reuse=1)

    assert (DONE, "Confirmed.", 2) == (closed.phase, closed.outcome, len(closed.steps))
    assert NEW.content == content
    assert [(), ()] == nothing


def test_a_late_confirmation_is_told_when_it_was_taken_back(host):
    """
    Nothing is kept: the value goes back now, if nobody took it back before.
    """

    def job(places, _):
        """Confirm a trial whose time is over."""
        one = kept(places, reuse(), phase=TRIAL, trial=until(LATE))
        with pytest.raises(ChangeError) as error:
            confirm_trial(places, one)
        return error.value.message, read_setting("tcp_tw_reuse"), ended(places)

    message, now, (phase, _) = host(job, tcp_tw_reuse=1)

    assert "taken back at " in message
    assert "2" == now
    assert PUT_BACK == phase


def test_a_confirmation_keeps_no_value_of_somebody_else(host):
    """
    Where a value is no longer what was tried, confirming is a conflict, and it stays a trial.
    """

    def job(places, folder):
        """Confirm a trial whose value was changed."""
        file = folder / "90-portroom.conf"
        one = kept(places, reuse(), phase=TRIAL, trial=until(IN_TIME))
        with pytest.raises(ConflictError):
            confirm_trial(places, one, [FileStep(str(file), None, NEW)])
        return file.exists(), ended(places), read_setting("tcp_tw_reuse")

    assert (False, (TRIAL, ""), "0") == host(job, tcp_tw_reuse=0)


@pytest.mark.parametrize("left_s", [IN_TIME, 0.3])
def test_a_file_that_does_not_do_its_work_goes_again(host, left_s):
    """
    It is a trial again with the deadline it had, or taken back where that passed meanwhile.
    """

    def job(places, folder):
        """Confirm with a file that another one overrides."""
        file = folder / "90-portroom.conf"
        one = kept(places, reuse(), phase=TRIAL, trial=until(left_s))

        def refuse():
            """Find out that the file does not decide, which takes its time."""
            while left_s < 1 and not trials.is_late(one):
                pass
            raise WriteError("It does not decide.")

        with pytest.raises(ChangeError) as error:
            confirm_trial(places, one, [FileStep(str(file), None, NEW)], refuse)
        return error.value.message, file.exists(), ended(places)[0], read_setting("tcp_tw_reuse")

    message, exists, phase, now = host(job, tcp_tw_reuse=1)

    assert not exists
    if left_s == IN_TIME:
        assert ("It does not decide.", TRIAL, "1") == (message, phase, now)
    else:
        assert (PUT_BACK, "2") == (phase, now)
        assert "taken back at" in message


def test_a_trial_can_be_taken_back_before_its_time(host):
    """
    With the reason that is given, and its file gone.
    """

    def job(places, _):
        """Take a trial back."""
        one = kept(places, reuse(), phase=TRIAL, trial=until(IN_TIME))
        closed = take_back(places, one, "taken back by hand")
        return closed, read_setting("tcp_tw_reuse"), read_trials(places.run).trials

    closed, now, pending = host(job, tcp_tw_reuse=1)

    assert (PUT_BACK, "Taken back by hand.") == (closed.phase, closed.outcome)
    assert "2" == now
    assert () == pending
