"""A namespace of a container or pod is told by the cgroup of a process inside."""

import json
import os

import pytest

from portroom.kernel.workload import read_workload
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.surroundings import Workload
from tests.unit.kernel.trees import Fifo, Link, make_tree

INODE = 4026532000
ID = "3f2a" * 16
UID = "0a1b2c3d-0000-1111-2222-333344445555"
POD = f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-containerd-{ID}.scope"
DOCKER = b"/var/lib/docker/containers"
DOCKER_FILE = f"/var/lib/docker/containers/{ID}/config.v2.json"
PODMAN_FILE = "/var/lib/containers/storage/overlay-containers/containers.json"


def workload(tmp_path, cgroup, files=(), kind="container", name="x", pid=7):
    """
    Return whose a namespace is with a process 7 of some cgroup inside.
    """
    tree = {"proc/7/cgroup": f"0::{cgroup}\n", "proc/7/ns/net": Link(f"net:[{INODE}]")}
    root = make_tree(tmp_path, tree | dict(files))
    netns = NetnsId(name, None, INODE, kind, pid)
    return read_workload(netns, [1, 7, 9], DOCKER, os.fsencode(root), f"{root}/proc")


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        (f"/docker/{ID}", {}, Workload("docker", "3f2a3f2a3f2a")),
        (f"/docker/{ID}", {DOCKER_FILE: '{"Name": "/web"}'}, Workload("docker", "web")),
        (f"/docker/{ID}", {DOCKER_FILE: "{"}, Workload("docker", "3f2a3f2a3f2a")),
        (
            f"/machine.slice/libpod-{ID}.scope",
            {PODMAN_FILE: json.dumps([{"id": "a", "names": ["b"]}, {"id": ID, "names": ["web"]}])},
            Workload("podman", "web"),
        ),
        (
            f"/machine.slice/libpod-{ID}.scope",
            {PODMAN_FILE: json.dumps([{"id": ID}])},
            Workload("podman", "3f2a3f2a3f2a"),
        ),
        (f"/machine.slice/libpod-{ID}.scope", {PODMAN_FILE: Fifo()}, Workload("podman", ID[:12])),
        (POD, {}, Workload("kubernetes", UID)),
        (
            POD,
            {f"/var/log/pods/shop_web-7d9_{UID}": None, "/var/log/pods/a_b_c": None},
            Workload("kubernetes", "shop/web-7d9"),
        ),
        (POD, {f"/var/log/pods/{UID}": None}, Workload("kubernetes", UID)),
        (f"/default/{ID}", {}, Workload("other", "containerd:3f2a3f2a3f2a")),
        ("/lxc.payload.web", {}, Workload("other", "lxc:web")),
    ],
)
def test_containers_and_pods(tmp_path, cgroup, files, expected):
    """
    Under the name that their runtime gave them, under their id where that cannot be read.
    """
    assert expected == workload(tmp_path, cgroup, files)


@pytest.mark.parametrize("pid", [7, None])
def test_a_name_may_belong_to_a_container(tmp_path, pid):
    """
    Then a process inside is looked for.
    """
    assert Workload("kubernetes", UID) == workload(tmp_path, POD, kind="named", pid=pid)


def test_a_namespace_that_only_has_a_name(tmp_path):
    """
    It is nobody's, with a process of a shell inside or with none.
    """
    named = workload(tmp_path, "/user.slice/session-1.scope", kind="named", pid=None)
    empty = read_workload(NetnsId("x", None, 1, "named"), [], DOCKER, b"/", str(tmp_path))

    assert (None, None) == (named, empty)


def test_a_namespace_that_ends_with_a_process(tmp_path):
    """
    It has the name that it was found as.
    """
    found = workload(tmp_path, "/system.slice/a.service", kind="process", name="unit:a.service")

    assert Workload("other", "unit:a.service") == found


def test_the_host_is_no_workload(tmp_path):
    """
    Not even where portroom itself runs in a container.
    """
    assert workload(tmp_path, f"/docker/{ID}", kind="host") is None
