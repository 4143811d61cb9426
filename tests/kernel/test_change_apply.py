"""All steps are written or none, and what is put back is what was there, value by value."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from portroom.change import apply, journal
from portroom.change.held import Held
from portroom.change.journal import close
from portroom.change.settings import pieces, write_setting
from portroom.change.transaction import changing
from portroom.errors import (
    ConflictError,
    NotPermittedError,
    PortroomError,
    RollbackError,
    WriteError,
)
from portroom.kernel import namespaces
from portroom.kernel.sysctl import read_value
from portroom.model.facts.change import FileContent, FileStep, SettingStep, inverse
from portroom.model.facts.journal import CONFLICT, DONE, PUT_BACK, TRIAL, UNDO, WRITING
from tests.e2e.faults import MS_BIND, MS_RDONLY, MS_REMOUNT, alone, mount, needs_root
from tests.kernel import needs
from tests.kernel.bystanders import bystander, drop_rights, own_namespace
from tests.kernel.harness import write_settings
from tests.kernel.test_change_settings import (
    ALL_LONE_PORTS,
    LONE_PORTS,
    RANGE,
    RESERVED,
    START,
    as_user,
    read_only_settings,
)
from tests.unit.change.made_entries import A_TRIAL, carried_out, entry, places_in

DEFAULTS = {RANGE: "32768 60999", RESERVED: "", START: "1024", "net.ipv4.tcp_tw_reuse": "2"}

FILE = Path("/etc/sysctl.d/90-portroom.conf")


def steps_of(*changes, where=None):
    """Return steps in this network namespace, or in another: (key, before, after) each."""
    netns = where or namespaces.identify()
    return tuple(SettingStep(netns, *change) for change in changes)


def values(keys=DEFAULTS):
    """Return what settings hold."""
    return {key: " ".join(read_value(key).split()) for key in keys}


def told(job):
    """Return class, exit status and sentence of the error that *job* raises."""
    try:
        job()
    except (PortroomError, KeyboardInterrupt) as error:
        return type(error), getattr(error, "exit_status", 130), str(error)
    return None


def reached(*steps, after):
    """Yield steps, and do something once the first one has been written."""
    yield steps[0]
    after()
    yield from steps[1:]


WIDEN = [
    (RESERVED, "", "8080,9000-9100"),
    (START, "1024", "80"),
    (RANGE, "32768 60999", "80 65001"),
]


def test_all_steps_are_written_in_their_order(netns):
    """
    And their inverse, in the reverse order, brings back what was there.
    """

    def job():
        """Write, and go back."""
        before, steps = values(), steps_of(*WIDEN)
        apply.check(steps)
        apply.write(steps)
        written = values()
        apply.write(inverse(steps))
        return before, written, values()

    before, written, after = netns(job)

    assert before == DEFAULTS == after
    assert {RANGE: "80 65001", RESERVED: "8080,9000-9100", START: "80"}.items() <= written.items()


def test_all_that_others_changed_is_told_at_once(netns):
    """
    Nothing is written, and a chain of steps about one setting counts from its start.
    """

    def job():
        """Let two of three settings be something else."""
        write_settings(ip_local_port_range="20000 30000", ip_local_reserved_ports="1-3")
        steps = steps_of(
            (RESERVED, "", "8080"), ("net.ipv4.tcp_tw_reuse", "2", "1"),
            ("net.ipv4.tcp_tw_reuse", "1", "0"), (RANGE, "32768 60999", "15000 64001"),
        )  # fmt: skip
        return told(lambda: apply.check(steps)), values()

    (kind, status, sentence), held = netns(job)

    assert (ConflictError, 4) == (kind, status)
    assert f"{RESERVED} " in sentence
    assert "is '1-3', and was ''; " in sentence
    assert "is '20000 30000', and was '32768 60999'. Nothing was written." in sentence
    assert "tcp_tw_reuse" not in sentence
    assert {RANGE: "20000 30000", RESERVED: "1-3"}.items() <= held.items()


def test_a_value_that_changes_between_check_and_write_is_left(netns):
    """
    What was written before is put back; the value of the other stays.
    """

    def job():
        """Let somebody set the range after the check."""
        steps = steps_of(*WIDEN)
        apply.check(steps)
        meddle = reached(*steps, after=lambda: write_settings(ip_local_port_range="20000 30000"))
        return told(lambda: apply.write(meddle)), values()

    (kind, status, sentence), held = netns(job)

    assert (ConflictError, 4) == (kind, status)
    assert "What had been written was put back." in sentence
    assert DEFAULTS | {RANGE: "20000 30000"} == held


def test_what_the_kernel_refuses_takes_all_back(netns):
    """
    The second of three steps is refused: the first is put back, the third never made.
    """

    def job():
        """Lower the range without what it needs."""
        steps = steps_of(WIDEN[0], WIDEN[2], ("net.ipv4.tcp_tw_reuse", "2", "1"))
        return told(lambda: apply.write(steps)), values()

    (kind, status, sentence), held = netns(job)

    assert (WriteError, 4, DEFAULTS) == (kind, status, held)
    assert "the first port 80 lies below" in sentence
    assert "What had been written was put back." in sentence


def test_ctrl_c_takes_all_back(netns):
    """
    Pressed between two steps, or in the last one.
    """

    def press():
        """Press Ctrl-C."""
        os.kill(os.getpid(), signal.SIGINT)

    def job():
        """Be interrupted after the first step, then after the last one."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        first, *others = steps_of(*WIDEN)
        seen = []
        for steps in (reached(first, *others, after=press), reached(first, after=press)):
            with contextlib.suppress(KeyboardInterrupt):
                seen.append(told(lambda steps=steps: apply.write(steps)))
            seen.append(values())
        return seen

    assert [DEFAULTS, DEFAULTS] == [one for one in netns(job) if isinstance(one, dict)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_process_takes_all_back_first(netns, number):
    """
    Then it ends the process in its own way, as who sent it expects.
    """

    def job():
        """Let a child write, and end it half way."""
        first, *others = steps_of(*WIDEN)
        child = os.fork()
        if child == 0:
            signal.signal(number, signal.SIG_DFL)
            apply.write(reached(first, *others, after=lambda: os.kill(os.getpid(), number)))
            os._exit(0)
        return os.WTERMSIG(os.waitpid(child, 0)[1]), values()

    assert (number, DEFAULTS) == netns(job)


def test_lists_of_many_pages_go_there_and_back(netns):
    """
    9,488 and 32,768 lone ports, whole.
    """

    def job():
        """Write both, and take them back."""
        steps = steps_of((RESERVED, "", LONE_PORTS), (RESERVED, LONE_PORTS, ALL_LONE_PORTS))
        apply.write(steps)
        written = values()[RESERVED]
        back = apply.put_back(steps)
        return written, back.restored == tuple(reversed(steps)), values()

    assert (ALL_LONE_PORTS, True, DEFAULTS) == netns(job)


@pytest.mark.parametrize("done", range(4))
def test_a_crash_after_any_step_is_put_back(netns, done):
    """
    Value by value: what was not yet written stays as it is.
    """

    def job():
        """Write some of the steps, and put all back."""
        steps = steps_of(*WIDEN)
        apply.write(steps[:done])
        return apply.put_back(steps), steps[:done][::-1], values()

    back, expected, held = netns(job)

    assert (expected, (), (), ()) == back
    assert DEFAULTS == held


@pytest.mark.parametrize(("before", "after"), [("7", LONE_PORTS), (LONE_PORTS, "7")])
def test_a_crash_half_way_through_a_long_list_is_put_back(netns, before, after):
    """
    Whether the list was being written or put back: what the kernel holds is ours.
    """

    def job():
        """Write two pieces of a list, as a writer that was killed."""
        write_setting(RESERVED, "7")
        descriptor = os.open("/proc/sys/net/ipv4/ip_local_reserved_ports", os.O_WRONLY)
        for piece in pieces(LONE_PORTS)[:2]:
            os.write(descriptor, piece)
        os.close(descriptor)
        back = apply.put_back(steps_of((RESERVED, before, after)))
        return len(back.restored), values()[RESERVED]

    assert (1, before) == netns(job)


def test_what_somebody_else_set_is_left_when_putting_back(netns):
    """
    The other values go back all the same, and the conflict is told.
    """

    def job():
        """Write, let somebody change one value, and put back."""
        steps = steps_of(*WIDEN)
        apply.write(steps)
        write_settings(ip_local_reserved_ports="1-3")
        return apply.put_back(steps), values()

    back, held = netns(job)

    assert DEFAULTS | {RESERVED: "1-3"} == held
    assert [RANGE, START] == [step.key for step in back.restored]
    (conflict,) = back.conflicts
    assert "is '1-3', which somebody else set" in conflict


@needs_root
def test_what_cannot_be_put_back_is_told_with_the_commands_that_mend_it():
    """
    Exit status 5, the exact state, and lines that do mend it.
    """

    def job():
        """Let the settings become read-only half way, then do what the hint says."""
        steps = steps_of(*WIDEN[:2], (RANGE, "32768 60999", "80 65001"))
        two = [*steps[:2]]
        stuck = reached(*two, steps[2], after=lambda: None)

        def until():
            """Yield two steps, then lose the right to write."""
            yield next(stuck)
            yield next(stuck)
            read_only_settings()
            yield next(stuck)

        error = told(lambda: apply.write(until()))
        held = values()
        mount("", "/proc/sys", "", MS_REMOUNT | MS_BIND)
        by_hand = error[2].partition("; or: ")[2]
        subprocess.run(by_hand, shell=True, check=True, capture_output=True)
        return error, held, values(), by_hand

    (kind, status, sentence), held, mended, by_hand = alone(job)

    assert (RollbackError, 5) == (kind, status)
    assert DEFAULTS | {RESERVED: "8080,9000-9100", START: "80"} == held
    assert f"{START} holds '80', and held '1024' before" in sentence
    assert f"{RESERVED} holds '8080,9000-9100', and held '' before" in sentence
    assert "read-only /proc/sys (container?)" in sentence
    assert "portroom recover" in sentence
    assert DEFAULTS == mended, by_hand


@needs_root
def test_what_cannot_be_put_back_for_want_of_a_right_leaves_all_as_it_is():
    """
    Who recovers without the right is told which, with exit status 4: nothing was changed.
    """

    def job():
        """Write as root, and recover as somebody else."""
        steps = steps_of(*WIDEN)
        apply.write(steps)
        as_user(1000)
        return told(lambda: apply.put_back(steps)), values()[START]

    (kind, status, sentence), held = alone(job)

    assert (NotPermittedError, 4, "80") == (kind, status, held)
    assert "CAP_NET_ADMIN" in sentence


def in_place(name):
    """Return the identity of the namespace of a process, or of one with a name."""
    ref = namespaces.find(str(name))
    return namespaces.inside(ref, lambda: namespaces.identify(ref.id))


def test_steps_of_another_namespace_are_written_there(netns):
    """
    And only there; both are put back if one of them fails.
    """

    def job():
        """Write here and there, then fail there."""
        with bystander(own_namespace) as pid:
            there = in_place(pid)
            ref = namespaces.find(str(pid))
            both = (
                *steps_of((RANGE, "32768 60999", "15000 64001")),
                *steps_of((RANGE, "32768 60999", "20000 64001"), where=there),
            )
            apply.write(both)
            written = values()[RANGE], namespaces.inside(ref, values)[RANGE]
            apply.write(inverse(both))
            bad = (*both, *steps_of((START, "1024", "30000"), where=there))
            error = told(lambda: apply.write(bad))
            return written, error, values(), namespaces.inside(ref, values)

    written, error, here, there = netns(job)

    assert ("15000 64001", "20000 64001") == written
    assert WriteError is error[0]
    assert "Network namespace 'pid:" in error[2]
    assert DEFAULTS == here == there


@needs_root
def test_a_namespace_that_ended_is_told():
    """
    Putting back finds it gone, which is no error; writing there is a conflict.
    """

    def job():
        """Remember a namespace, and let it end."""
        with bystander(own_namespace) as pid:
            steps = steps_of((RANGE, "32768 60999", "15000 64001"), where=in_place(pid))
            apply.write(steps)
        return steps, apply.put_back(steps), told(lambda: apply.write(steps))

    steps, back, error = alone(job)

    assert ((), (), steps, ()) == back
    assert (ConflictError, 4) == error[:2]
    assert "is gone" in error[2]


@needs_root
def test_a_namespace_that_is_held_does_not_end():
    """
    Its last process ends half way: the values still go back in the very same one.
    """

    def job():
        """Hold it, let its process end, and go on."""
        with Held() as held:
            with bystander(own_namespace) as pid:
                steps = steps_of((RANGE, "32768 60999", "15000 64001"), where=in_place(pid))
                apply.write(steps, held)
            back = apply.put_back(steps, held)
        return back.restored == steps, apply.put_back(steps).gone == steps

    assert (True, True) == alone(job)


@needs_root
@needs.netns_cookie
def test_another_namespace_under_the_same_name_is_not_touched():
    """
    A name is given again, a cookie never.
    """

    def job():
        """Give a name to one namespace, then to another."""
        subprocess.run(["ip", "netns", "add", "web"], check=True)
        steps = steps_of((RANGE, "32768 60999", "15000 64001"), where=in_place("web"))
        apply.write(steps)
        subprocess.run(["ip", "netns", "delete", "web"], check=True)
        subprocess.run(["ip", "netns", "add", "web"], check=True)
        other = namespaces.find("web")
        namespaces.inside(other, lambda: write_settings(ip_local_port_range="15000 64001"))
        back = apply.put_back(steps)
        return back.gone == steps, namespaces.inside(other, values)[RANGE]

    assert (True, "15000 64001") == alone(job)


@pytest.fixture
def places(tmp_path):
    """
    Return places below an empty folder.
    """
    return places_in(tmp_path)


def only_entry(places):
    """Return the one entry of a journal."""
    (found,) = journal.read(places).entries
    return found


def test_a_change_is_journaled_and_done(netns, places):
    """
    The entry is on the disk before the first write, and closed after the last.
    """

    def job():
        """Make one, and look at the journal before each step."""
        begun = entry(*steps_of(*WIDEN))
        with changing(places, begun) as change:
            before = only_entry(places), values()
            change.write()
            during = only_entry(places).phase
        return before, during, change.entry

    (first, held), during, done = netns(job)

    assert (WRITING, 1, DEFAULTS) == (first.phase, first.number, held)
    assert (WRITING, DONE) == (during, done.phase)
    assert only_entry(places) == done
    assert "Written and read back." == done.outcome
    assert done.ended_at is not None


def test_a_trial_is_left_open(netns, places):
    """
    What follows is up to who confirms, or to the guardian.
    """

    def job():
        """Begin a trial."""
        with changing(places, entry(*steps_of(*WIDEN), trial=A_TRIAL), ends=TRIAL) as change:
            change.write()
        return change.entry

    trial = netns(job)

    assert (TRIAL, "", None) == (trial.phase, trial.outcome, trial.ended_at)
    assert trial == only_entry(places)


def fails_before(places, begun):
    """Let something fail before the first step."""
    with changing(places, begun):
        raise WriteError("No guardian.")


def fails_after(places, begun):
    """Let something fail after the last step."""
    with changing(places, begun) as change:
        change.write()
        raise WriteError("The next boot would not give it.")


def is_interrupted(places, begun):
    """Press Ctrl-C after the last step."""
    with changing(places, begun) as change:
        change.write()
        os.kill(os.getpid(), signal.SIGINT)


def meets_another(places, begun):
    """Let somebody else set a value between the check and the write."""
    with changing(places, begun) as change:
        write_settings(ip_local_reserved_ports="5")
        change.write()


def is_changed_after(places, begun):
    """Let somebody else set a value after the write, and fail then."""
    with changing(places, begun) as change:
        change.write()
        write_settings(ip_local_reserved_ports="5")
        raise WriteError("So.")


ENDINGS = {
    fails_before: (WriteError, PUT_BACK, "No guardian."),
    fails_after: (WriteError, PUT_BACK, "The next boot would not give it. What had been written"),
    is_interrupted: (KeyboardInterrupt, PUT_BACK, "Interrupted; put back."),
    meets_another: (ConflictError, CONFLICT, "Somebody else changed"),
    is_changed_after: (WriteError, CONFLICT, "is '5', which somebody else set."),
}


@pytest.mark.parametrize("job", ENDINGS, ids=lambda job: job.__name__)
def test_whatever_goes_wrong_is_put_back_and_journaled(netns, places, job):
    """
    The entry tells how it ended, and only what somebody else set is not as before.
    """
    kind, phase, outcome = ENDINGS[job]

    def work():
        """Do it, and look."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return told(lambda: job(places, entry(*steps_of(*WIDEN)))), values()

    error, held = netns(work)
    found = only_entry(places)

    assert (kind, phase) == (error[0], found.phase)
    assert outcome in found.outcome
    assert (DEFAULTS | {RESERVED: "5"} if phase == CONFLICT else DEFAULTS) == held


@needs_root
@pytest.mark.parametrize("barrier", ["nobody", "read-only", "another value"])
def test_what_can_be_known_before_leaves_no_entry(tmp_path, barrier):
    """
    Without the right, with read-only settings, or after somebody else: nothing is begun.
    """
    barriers = {
        "nobody": lambda: as_user(1000),
        "read-only": read_only_settings,
        "another value": lambda: write_settings(ip_local_reserved_ports="5"),
    }
    tmp_path.chmod(0o777)
    places = places_in(tmp_path)

    def job():
        """Try, and look whether anything was written."""
        steps = steps_of(*WIDEN)
        barriers[barrier]()
        return told(lambda: carried_out(places, entry(*steps))), values()

    error, held = alone(job)

    assert 4 == error[1]
    assert DEFAULTS.keys() == held.keys()
    assert [] == list(tmp_path.iterdir())


@needs_root
def test_what_cannot_be_put_back_stays_open(tmp_path):
    """
    The entry is found by who recovers, and closed once the values are back.
    """
    places = places_in(tmp_path)

    def job():
        """Lose the right to write before it fails."""
        begun = entry(*steps_of(*WIDEN))

        def fail():
            """Fail once the settings are read-only."""
            with changing(places, begun) as change:
                change.write()
                read_only_settings()
                raise WriteError("No guardian.")

        error, found = told(fail), only_entry(places)
        mount("", "/proc/sys", "", MS_REMOUNT | MS_BIND)
        apply.put_back(found.steps)
        return error, found.phase, values()

    error, phase, held = alone(job)

    assert (RollbackError, 5, WRITING, DEFAULTS) == (*error[:2], phase, held)
    assert error[2].startswith("No guardian. It could not be put back: ")


@needs_root
def test_a_journal_that_cannot_be_closed_takes_all_back(tmp_path):
    """
    A disk that fills up half way: as before, and the entry that stays open is told.
    """
    places = places_in(tmp_path)

    def job():
        """Let the disk become read-only after the steps."""
        mount("tmpfs", str(tmp_path), "tmpfs", options="mode=755")
        begun = entry(*steps_of(*WIDEN))

        def fail():
            """Remount it before the end."""
            with changing(places, begun) as change:
                change.write()
                mount("", str(tmp_path), "", MS_REMOUNT | MS_RDONLY)

        return told(fail), only_entry(places).phase, values()

    (kind, status, sentence), phase, held = alone(job)

    assert (WriteError, 4, WRITING, DEFAULTS) == (kind, status, phase, held)
    assert "What had been written was put back." in sentence
    assert "Entry 1 of the journal stays open" in sentence


@needs_root
def test_a_file_is_written_and_put_back_with_the_settings():
    """
    Content, mode and absence; a crash after any step, and what its writer left beside it.
    """

    def job():
        """Write both, take back; then crash at each point."""
        mount("tmpfs", "/etc", "tmpfs", options="mode=755")
        step = FileStep(str(FILE), None, FileContent(b"a = 1\n"), makes_folder=True)
        steps = (*steps_of(WIDEN[0]), step)
        apply.write(steps)
        seen = [(FILE.read_bytes(), FILE.stat().st_mode & 0o7777, values()[RESERVED])]
        for done in (2, 1, 0):
            apply.put_back(steps)
            assert not FILE.parent.exists()
            apply.write(steps[:done])
        FILE.parent.mkdir()
        (FILE.parent / ".portroom.new").touch()
        FILE.parent.chmod(0o755)
        apply.put_back(steps)
        return seen, list(Path("/etc").iterdir()), values()

    seen, left, held = alone(job)

    assert [(b"a = 1\n", 0o644, "8080,9000-9100")] == seen
    assert ([], DEFAULTS) == (left, held)


@needs_root
def test_a_file_of_somebody_else_is_left():
    """
    Written meanwhile by an administrator: the setting goes back, the file stays.
    """

    def job():
        """Write both, change the file, and put back; then check and write again."""
        mount("tmpfs", "/etc", "tmpfs", options="mode=755")
        FILE.parent.mkdir(mode=0o755)
        steps = (*steps_of(WIDEN[0]), FileStep(str(FILE), None, FileContent(b"a = 1\n")))
        apply.write(steps)
        FILE.write_bytes(b"b = 2\n")
        back = apply.put_back(steps)
        return back, told(lambda: apply.check(steps)), told(lambda: apply.write(steps)), (
            values(), FILE.read_bytes()
        )  # fmt: skip

    back, checked, written, held = alone(job)

    assert [f"{FILE} is not what portroom wrote"] == list(back.conflicts)
    assert [RESERVED] == [step.key for step in back.restored]
    assert ConflictError is checked[0] is written[0]
    assert (DEFAULTS, b"b = 2\n") == held


@needs_root
def test_a_file_that_cannot_be_written_takes_the_settings_back():
    """
    As uid 0 without capabilities: settings yes, a folder of another user no.
    """

    def job():
        """Write a setting, fail with the file."""
        mount("tmpfs", "/etc", "tmpfs", options="mode=755")
        FILE.parent.mkdir(mode=0o555)
        steps = (*steps_of(WIDEN[0]), FileStep(str(FILE), None, FileContent(b"a = 1\n")))
        drop_rights()
        return told(lambda: apply.write(steps)), values()

    (kind, status, sentence), held = alone(job)

    assert (NotPermittedError, 4, DEFAULTS) == (kind, status, held)
    assert str(FILE) in sentence


def random_changes(seed, count):
    """Return changes of settings one after the other, each from what the one before left."""
    choice = random.Random(seed)
    held = dict(DEFAULTS)
    for _ in range(count):
        key = choice.choice([*DEFAULTS])
        if key == RANGE:
            first = choice.randrange(max(1, int(held[START])), 60_000)
            after = f"{first} {choice.randrange(first, 65_536)}"
        elif key == START:
            after = str(choice.randrange(0, int(held[RANGE].split()[0]) + 1))
        elif key == RESERVED:
            ports = sorted(choice.sample(range(1, 65_536, 2), choice.choice([0, 1, 3, 2000])))
            after = ",".join(map(str, ports))
        else:
            after = choice.choice("012")
        yield key, held[key], after
        held[key] = after


@pytest.mark.parametrize("seed", range(needs.rounds(5, in_guest=2)))
def test_undo_of_twenty_random_changes_restores_all(netns, places, seed):
    """
    Each value of each moment comes back exactly, one undo after the other.
    """

    def job():
        """Make twenty changes of up to three steps, then undo one by one."""
        states, changes = [values()], list(random_changes(seed, needs.rounds(40, in_guest=24)))
        while changes:
            steps = steps_of(*(changes.pop(0) for _ in range(min(len(changes), 1 + seed % 3))))
            carried_out(places, entry(*steps))
            states.append(values())
        seen = [values()]
        for one in reversed(journal.read(places).entries):
            carried_out(places, entry(*inverse(one.steps), action=UNDO, undoes=one.number))
            seen.append(values())
        return states, seen

    states, seen = netns(job)
    entries = journal.read(places).entries

    assert len(states) > 10
    assert states == seen[::-1]
    assert {DONE} == {one.phase for one in entries}
    done = [one for one in entries if one.action != UNDO]
    assert [one.number for one in done] == [e.undoes for e in entries if e.action == UNDO][::-1]
    assert all(one.undone_by for one in done)


def test_an_undo_of_what_somebody_else_changed_writes_nothing(netns, places):
    """
    Not even what could go back: all of it is told.
    """

    def job():
        """Change, let somebody else change one of it, and undo."""
        done = carried_out(places, entry(*steps_of(*WIDEN)))
        write_settings(ip_local_reserved_ports="5")
        undo = entry(*inverse(done.steps), action=UNDO, undoes=1)
        return told(lambda: carried_out(places, undo)), values()

    error, held = netns(job)

    assert (ConflictError, 4) == error[:2]
    assert {RANGE: "80 65001", START: "80", RESERVED: "5"}.items() <= held.items()
    assert 1 == len(journal.read(places).entries)


def test_a_phase_that_is_open_has_no_outcome(places):
    """
    A trial that is confirmed is not ended yet.
    """
    begun = journal.begin(places, entry(trial=A_TRIAL))
    again = close(places, close(places, begun, DONE, "So."), TRIAL, "never told")

    assert (TRIAL, "", None) == (again.phase, again.outcome, again.ended_at)
    assert again == only_entry(places)
