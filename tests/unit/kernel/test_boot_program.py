"""Which program applies sysctl files at boot is read off files, in one order of proof."""

import pytest

from portroom.kernel.boot_program import read_boot_program
from tests.unit.kernel.trees import Fifo, Link, make_tree

SYSTEMD = {
    "/usr/lib/systemd/systemd": "",
    "/usr/lib/systemd/systemd-sysctl": "ELF",
    "/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-257.so": "",
    "/lib": Link("usr/lib"),
    "/usr/sbin/init": Link("../lib/systemd/systemd"),
    "/sbin": Link("usr/sbin"),
}

PROCPS = {
    "/usr/sbin/sysctl": "ELF",
    "/usr/lib/x86_64-linux-gnu/libproc2.so.0.0.2": "",
}

DEBIAN_SCRIPT = "#!/bin/sh\nDAEMON=/sbin/sysctl\n$DAEMON -q --system\n"

ONE_BY_ONE = '#!/sbin/openrc-run\nfor f in /etc/sysctl.d/*.conf; do\n sysctl -q -p "$f"\ndone\n'

SYSTEMD_INIT = SYSTEMD["/usr/sbin/init"]

SYSV_INIT = {"/usr/sbin/init": "ELF", "/sbin": Link("usr/sbin")}


def test_init_that_leads_to_systemd_is_systemd(tmp_path):
    """
    Links of a merged /usr resolve inside the tree, and the library tells the version.
    """
    found = read_boot_program(make_tree(tmp_path, SYSTEMD | PROCPS))

    assert ("systemd", (257,)) == (found.program, found.version)
    assert "/sbin/init leads to /lib/systemd/systemd" == found.evidence
    assert {"systemd": (257,), "procps": (4, 0, 4)} == found.installed
    assert () == found.notes


def test_a_running_systemd_of_a_tree_is_told_by_its_folder(tmp_path):
    """
    /run/systemd/system decides before /sbin/init; that the next boot may differ is told.
    """
    tree = SYSTEMD | {"/run/systemd/system": None, "/usr/sbin/init": "ELF"}

    found = read_boot_program(make_tree(tmp_path, tree))

    assert "systemd" == found.program
    assert "/run/systemd/system exists, so systemd is running" == found.evidence
    assert ("/sbin/init is no systemd, so the next boot may not be systemd's.",) == found.notes


@pytest.mark.parametrize("mask", [Link("/dev/null"), ""], ids=["link", "empty"])
@pytest.mark.parametrize("folder", ["/etc/systemd/system", "/run/systemd/system"])
def test_a_masked_unit_applies_nothing(tmp_path, folder, mask):
    """
    Where systemd-sysctl is masked, no program applies the files, and the mask is named.
    """
    tree = SYSTEMD | {f"{folder}/systemd-sysctl.service": mask, "/usr/sbin/init": SYSTEMD_INIT}

    found = read_boot_program(make_tree(tmp_path, tree))

    assert found.program is None
    assert f"{folder}/systemd-sysctl.service masks systemd-sysctl" in found.evidence


def test_a_unit_in_etc_is_no_mask_and_hides_one_in_run(tmp_path):
    """
    /etc decides before /run; a unit of one's own is named, for it may do anything.
    """
    unit = "systemd-sysctl.service"
    tree = SYSTEMD | {
        f"/etc/systemd/system/{unit}": "[Service]\nExecStart=/bin/true\n",
        f"/run/systemd/system/{unit}": Link("/dev/null"),
    }

    found = read_boot_program(make_tree(tmp_path, tree))

    assert "systemd" == found.program
    assert [True] == [f"/etc/systemd/system/{unit} replaces" in note for note in found.notes]


def test_systemd_without_systemd_sysctl_applies_nothing(tmp_path):
    """
    systemd built without it leaves the files alone.
    """
    tree = {"/usr/lib/systemd/systemd": "", "/sbin/init": Link("/usr/lib/systemd/systemd")}

    found = read_boot_program(make_tree(tmp_path, tree))

    assert found.program is None
    assert found.evidence.endswith("but it has no systemd-sysctl")


def test_debians_script_that_a_runlevel_starts_is_procps(tmp_path):
    """
    Without systemd as init, a script that runs sysctl --system makes it procps.
    """
    tree = (
        SYSV_INIT
        | PROCPS
        | {
            "/etc/init.d/procps": DEBIAN_SCRIPT,
            "/etc/rcS.d/S08procps": Link("../init.d/procps"),
        }
    )

    found = read_boot_program(make_tree(tmp_path, tree))

    assert ("procps", (4, 0, 4)) == (found.program, found.version)
    assert "/etc/init.d/procps runs sysctl --system" == found.evidence


def test_a_script_that_nothing_starts_decides_nothing(tmp_path):
    """
    A script without a link in a runlevel is told, and the answer is None.
    """
    tree = SYSV_INIT | PROCPS | {"/etc/init.d/procps": DEBIAN_SCRIPT, "/etc/rcS.d": None}

    found = read_boot_program(make_tree(tmp_path, tree))

    assert found.program is None
    assert "/etc/init.d/procps would apply sysctl files" in found.evidence


@pytest.mark.parametrize(
    ("script", "extra"),
    [
        ("/etc/init.d/sysctl", {"/etc/runlevels/boot/sysctl": Link("/etc/init.d/sysctl")}),
        ("/etc/runit/core-services/08-sysctl.sh", {}),
        ("/etc/init.d/S02sysctl", {}),
    ],
)
def test_a_script_with_an_order_of_its_own_is_named(tmp_path, script, extra):
    """
    Alpine, Void and Buildroot apply the files one by one: no rules known here, so None.
    """
    tree = SYSV_INIT | extra | {script: ONE_BY_ONE, "/bin/busybox": "ELF"}
    tree["/usr/sbin/sysctl"] = Link("/bin/busybox")

    found = read_boot_program(make_tree(tmp_path, tree))

    assert (None, {}) == (found.program, found.installed)
    assert found.evidence.startswith(f"{script} applies sysctl files one by one")


def test_sysctl_system_of_busybox_is_no_procps(tmp_path):
    """
    The script of OpenRC asks for procps; where busybox stands in, it goes by the files itself.
    """
    script = "#!/sbin/openrc-run\nsysctl ${quiet} --system\n"
    tree = SYSV_INIT | {
        "/etc/init.d/sysctl": script,
        "/etc/runlevels/boot/sysctl": Link("/etc/init.d/sysctl"),
        "/bin/busybox": "ELF",
        "/usr/sbin/sysctl": Link("/bin/busybox"),
    }

    assert read_boot_program(make_tree(tmp_path, tree)).program is None


def test_a_comment_applies_nothing(tmp_path):
    """
    A script whose call is commented out is no proof.
    """
    tree = SYSV_INIT | PROCPS | {"/etc/init.d/S02sysctl": "# sysctl --system\n"}

    found = read_boot_program(make_tree(tmp_path, tree))

    assert found.program is None
    assert "no known script starts it" in found.evidence


def test_an_empty_tree_says_that_nothing_is_there(tmp_path):
    """
    Nothing found is None, with a sentence and no version.
    """
    found = read_boot_program(str(tmp_path))

    assert (None, None, {}) == (found.program, found.version, found.installed)
    assert (
        "there is no /sbin/init, and nothing that applies sysctl files is installed"
        == found.evidence
    )


def test_a_root_that_is_no_folder_is_an_error(tmp_path):
    """
    A wrong root is never an empty answer.
    """
    with pytest.raises(FileNotFoundError):
        read_boot_program(str(tmp_path / "missing"))


def test_links_never_leave_the_root(tmp_path):
    """
    An init that climbs out of the root ends at its top: files outside prove nothing.
    """
    make_tree(tmp_path, {"/outside/systemd/systemd": "", "/tree/sbin": None})
    (tmp_path / "tree/sbin/init").symlink_to("../../../../../../outside/systemd/systemd")

    found = read_boot_program(str(tmp_path / "tree"))

    assert found.program is None


def test_a_loop_a_fifo_and_a_huge_file_are_no_wait(tmp_path):
    """
    What cannot be read safely is a Gap; nothing is waited for.
    """
    tree = {
        "/sbin/init": Link("init"),
        "/etc/init.d/procps": Fifo(),
        "/etc/runit/core-services/08-sysctl.sh": "#" * ((1 << 20) + 1),
        "/var/lib/dpkg/status": Fifo(),
    }

    found = read_boot_program(make_tree(tmp_path, tree))

    assert found.program is None
    assert ["/etc/init.d/procps", "/etc/runit/core-services/08-sysctl.sh"] == [
        gap.source for gap in found.gaps
    ]


def test_below_another_root_no_process_counts(tmp_path):
    """
    Process 1 of this host says nothing about a tree elsewhere.
    """
    make_tree(tmp_path, {"/tree": None, "/proc/1/comm": "systemd\n"})

    found = read_boot_program(str(tmp_path / "tree"), proc=str(tmp_path / "proc"))

    assert found.program is None


@pytest.mark.parametrize("command", ["sleep", "a\x1b[31m\nb"])
def test_a_process_1_that_is_no_init_applies_nothing(tmp_path, command):
    """
    In a container whose process 1 is a workload, nobody applies the files; its name is quoted.
    """
    proc = make_tree(tmp_path, {"/1/comm": f"{command}\n"})

    found = read_boot_program("/", proc=proc)

    assert found.program is None
    assert f"process 1 is {command!r}" in found.evidence
    assert any("Nothing applies the sysctl files" in note for note in found.notes)
