"""Cgroup paths of every common runtime become container, pod and unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.kernel.cgroups import NO_CGROUP, Cgroup, parse_cgroup, read_cgroup

IDENTITY = "3f2a9c" + "0" * 58
SHORT = "3f2a9c000000"
POD = "0a1b2c3d-1111-2222-3333-444455556666"
POD_SLICE = POD.replace("-", "_")

PATHS = {
    "/": NO_CGROUP,
    "/system.slice/nginx.service": Cgroup(unit="nginx.service"),
    "/system.slice/nginx.service/worker": Cgroup(unit="nginx.service"),
    "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service": Cgroup(
        unit="web.service"
    ),
    "/user.slice/user-1000.slice/session-3.scope": Cgroup(unit="session-3.scope"),
    "/user.slice": NO_CGROUP,
    f"/docker/{IDENTITY}": Cgroup(container=SHORT, runtime="docker"),
    f"/system.slice/docker-{IDENTITY}.scope": Cgroup(container=SHORT, runtime="docker"),
    f"/system.slice/docker-{IDENTITY}.scope/system.slice/ssh.service": Cgroup(
        unit="ssh.service", container=SHORT, runtime="docker"
    ),
    f"/system.slice/docker.service/docker/{IDENTITY}": Cgroup(container=SHORT, runtime="docker"),
    f"/machine.slice/libpod-{IDENTITY}.scope/container": Cgroup(container=SHORT, runtime="podman"),
    f"/machine.slice/libpod-conmon-{IDENTITY}.scope": Cgroup(
        unit=f"libpod-conmon-{IDENTITY}.scope"
    ),
    f"/default/{IDENTITY}": Cgroup(container=SHORT, runtime="containerd"),
    f"/ecs/task/{IDENTITY}": Cgroup(container=SHORT, runtime="container"),
    f"/kubepods/burstable/pod{POD}/{IDENTITY}": Cgroup(
        container=SHORT, runtime="container", pod=POD
    ),
    "/kubepods.slice/kubepods-burstable.slice/"
    f"kubepods-burstable-pod{POD_SLICE}.slice/cri-containerd-{IDENTITY}.scope": Cgroup(
        container=SHORT, runtime="containerd", pod=POD
    ),
    f"/kubepods.slice/kubepods-pod{POD_SLICE}.slice/crio-{IDENTITY}.scope": Cgroup(
        container=SHORT, runtime="crio", pod=POD
    ),
    f"/kubepods.slice/kubepods-pod{POD_SLICE}.slice": Cgroup(pod=POD),
    f"/kubepods/pod{'ab' * 16}/{IDENTITY}": Cgroup(
        container=SHORT, runtime="container", pod="ab" * 16
    ),
    "/lxc/web": Cgroup(container="web", runtime="lxc"),
    "/lxc.payload.web/system.slice/ssh.service": Cgroup(
        unit="ssh.service", container="web", runtime="lxc"
    ),
    "/lxc.monitor.web": NO_CGROUP,
    "/machine.slice/machine-web.scope/init.scope": Cgroup(
        unit="init.scope", container="web", runtime="machine"
    ),
    f"/docker/{IDENTITY[:-1]}": NO_CGROUP,
    f"/docker/{IDENTITY[:-1]}X": NO_CGROUP,
    "/podcast/episodes": NO_CGROUP,
}


@pytest.mark.parametrize("path", PATHS)
def test_a_path_tells_what_its_runtime_means(path):
    """
    The path alone tells container, pod and unit, and nothing that is not there.
    """
    assert PATHS[path] == parse_cgroup(f"0::{path}\n")


def test_version_1_is_read_too():
    """
    With many hierarchies the one of systemd tells the unit.
    """
    text = "9:memory:/user.slice\n1:name=systemd:/system.slice/web.service\n0::/\n"

    assert "web.service" == parse_cgroup(text).unit


def test_a_container_that_only_one_hierarchy_tells_counts():
    """
    A runtime may leave systemd's hierarchy alone.
    """
    text = f"4:memory:/docker/{IDENTITY}\n1:name=systemd:/system.slice/docker.service\n"

    assert Cgroup(container=SHORT, runtime="docker") == parse_cgroup(text)


def test_a_cgroup_that_was_removed_still_tells():
    """
    The kernel marks it as deleted; the mark is no part of the name.
    """
    assert "web.service" == parse_cgroup("0::/system.slice/web.service (deleted)\n").unit


@pytest.mark.parametrize(
    ("cgroup", "name"),
    [
        (NO_CGROUP, None),
        (Cgroup(unit="web.service"), None),
        (Cgroup(container=SHORT, runtime="docker"), f"docker:{SHORT}"),
        (Cgroup(container=SHORT, runtime="crio", pod=POD), f"pod:{POD}/{SHORT}"),
        (Cgroup(pod=POD), f"pod:{POD}"),
    ],
)
def test_a_container_is_named_by_runtime_and_a_pod_by_its_uid(cgroup, name):
    """
    The name says what to ask for: the runtime's short id, or the pod's uid.
    """
    assert name == cgroup.container_name


@given(st.text())
def test_any_text_is_parsed(text):
    """
    Nothing that a cgroup may be called stops the reader.
    """
    assert isinstance(parse_cgroup(text), Cgroup)


def test_a_process_that_ended_tells_nothing(tmp_path):
    """
    A missing file is the normal end of a process.
    """
    assert NO_CGROUP == read_cgroup(str(tmp_path))
