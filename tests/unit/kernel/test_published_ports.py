"""Ports that Docker's containers publish are read from what Docker keeps on the disk."""

import json
import os

import pytest

from portroom.kernel.published_ports import (
    MOST_CONTAINERS,
    container_name,
    containers_folder,
    read_published,
)
from portroom.model.facts.surroundings import PublishedPort
from tests.unit.kernel.trees import Fifo, Link, make_tree

CONTAINERS = "/var/lib/docker/containers"
WEB, DATABASE = "3f2a" * 16, "beef" * 16


def bindings(*ports):
    """
    Return bindings of ports of the host to port 80 of a container, IPv4 and IPv6.
    """
    return [{"HostIp": ip, "HostPort": str(port)} for port in ports for ip in ("0.0.0.0", "::")]


def container(ports, running=True, name="/web", **others):
    """
    Return what Docker writes of a container.
    """
    content = {
        "State": {"Running": running, "Paused": False, "Pid": 12},
        "ID": WEB,
        "Name": name,
        "Config": {"ExposedPorts": {"80/tcp": {}}, "Labels": {}},
        "NetworkSettings": {"Bridge": "", "Ports": ports, "Networks": {"bridge": None}},
        "RestartCount": 0,
    }
    return json.dumps(content | others)


def config(identity=WEB, where=CONTAINERS):
    """
    Return where Docker writes it.
    """
    return f"{where}/{identity}/config.v2.json"


def published(tmp_path, tree, commands=()):
    """
    Return protocol, port and container of each port, and the gaps, of a tree.
    """
    ports, gaps = read_published(dict(commands), os.fsencode(make_tree(tmp_path, tree)))

    assert {"docker"} >= {one.runtime for one in ports}
    return [(one.protocol, one.port, one.container) for one in ports], gaps


def test_running_containers_publish(tmp_path):
    """
    Each port is told once, whatever addresses it is published on; a port without binding is not.
    """
    ports = {"80/tcp": bindings(8080, 8081), "53/udp": bindings(5353), "443/tcp": None}
    tree = {
        config(): container(ports),
        config(DATABASE): container({"5432/tcp": bindings(15432)}, name="/database"),
    }
    expected = [
        ("udp", 5353, "web"),
        ("tcp", 8080, "web"),
        ("tcp", 8081, "web"),
        ("tcp", 15432, "database"),
    ]

    assert (expected, ()) == published(tmp_path, tree)


def test_a_port_is_a_value_of_the_facts(tmp_path):
    """
    The name stands without the slash that Docker puts before it.
    """
    root = make_tree(tmp_path, {config(): container({"80/tcp": bindings(8080)})})
    expected = PublishedPort(protocol="tcp", port=8080, runtime="docker", container="web")

    assert ((expected,), ()) == read_published({}, os.fsencode(root))


@pytest.mark.parametrize("ports", [None, {}])
def test_the_ports_that_were_asked_for_count_where_no_others_are_told(tmp_path, ports):
    """
    A port that Docker is to choose is none yet.
    """
    asked = {"80/tcp": bindings(8080), "81/tcp": [{"HostIp": "", "HostPort": ""}]}
    tree = {
        config(): container(ports),
        f"{CONTAINERS}/{WEB}/hostconfig.json": json.dumps({"PortBindings": asked, "Memory": 0}),
    }

    assert ([("tcp", 8080, "web")], ()) == published(tmp_path, tree)


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {CONTAINERS: None},
        {CONTAINERS: "no folder"},
        {f"{CONTAINERS}/{WEB}": None},
        {config("other"): container({"80/tcp": bindings(8080)})},
        {config(): container({"80/tcp": bindings(8080)}, running=False)},
        {config(): container({"80/tcp": bindings(8080)}, State=None)},
        {config(): container({"80/tcp": bindings("x", "", "0", "65536", "8080x", "٣٠٠٠", "-1")})},
        {config(): container(None, NetworkSettings=None)},
        {f"{config()}.tmp": container({"80/tcp": bindings(8080)})},
    ],
)
def test_nothing_is_published(tmp_path, tree):
    """
    By a container that does not run, by what is no container, and by no port.
    """
    assert ([], ()) == published(tmp_path, tree)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "null",
        "[" * 100_000,
        '{"State": 1}',
        b'{"Name": "\xff"}',
        '{"Name": "\\ud800"}',
        '{"NetworkSettings": {"Ports": [8080]}}',
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        " " * ((1 << 20) + 1),
        Fifo(),
    ],
)
def test_what_is_not_as_docker_writes_it_is_a_gap(tmp_path, content):
    """
    It is named, and the other containers are told.
    """
    other = {config(DATABASE): container({"5432/tcp": bindings(15432)}, name="/database")}
    ports, gaps = published(tmp_path, {config(): content, **other})

    assert [("tcp", 15432, "database")] == ports
    assert [(config(), ("collisions",))] == [(gap.source, gap.affects) for gap in gaps]


def test_a_hostile_name_stays_what_it_is(tmp_path):
    """
    It is escaped by whoever shows it.
    """
    tree = {config(): container({"80/tcp": bindings(8080)}, name="/\x1b[31m\nx")}

    assert [("tcp", 8080, "\x1b[31m\nx")] == published(tmp_path, tree)[0]


def test_too_many_containers_are_a_gap(tmp_path):
    """
    So many are looked at, and that is told.
    """
    tree = {f"{CONTAINERS}/{number:064x}": None for number in range(MOST_CONTAINERS + 1)}

    assert ["docker"] == [gap.source for gap in published(tmp_path, tree)[1]]


@pytest.mark.parametrize(
    ("file", "command_line", "expected"),
    [
        (None, "dockerd", "/var/lib/docker"),
        ('{"data-root": "/srv/docker"}', "dockerd", "/srv/docker"),
        ('{"graph": "/srv/old"}', "dockerd", "/srv/old"),
        ('{"data-root": "/srv/docker"}', "dockerd --data-root=/a b -H fd://", "/a b"),
        ("{}", "dockerd --data-root /a", "/a"),
        ("{}", "dockerd -g /a --graph=/b", "/a"),
        ("not json", "dockerd", "/var/lib/docker"),
        ('{"data-root": 7}', None, "/var/lib/docker"),
        (Fifo(), None, "/var/lib/docker"),
    ],
)
def test_where_docker_keeps_its_containers(tmp_path, file, command_line, expected):
    """
    Its command line goes before its file, and that before the default.
    """
    tree = {} if file is None else {"/etc/docker/daemon.json": file}
    if command_line:
        tree["proc/7/cmdline"] = "\0".join(command_line.replace("a b", "a_b").split(" ")).replace(
            "a_b", "a b"
        )
    root = make_tree(tmp_path, tree)
    folder = containers_folder({7: "dockerd", 8: "x"}, os.fsencode(root), f"{root}/proc")

    assert f"{expected}/containers".encode() == folder


def test_containers_elsewhere_are_found(tmp_path):
    """
    The folder is the one that Docker's file names, seen from inside the root.
    """
    tree = {
        "/etc/docker/daemon.json": '{"data-root": "/srv/docker"}',
        config(where="/disk/docker/containers"): container({"80/tcp": bindings(8080)}),
        "/srv/docker": Link("/disk/docker"),
    }

    assert ([("tcp", 8080, "web")], ()) == published(tmp_path, tree)


@pytest.mark.parametrize(
    ("commands", "seen"), [({7: "dockerd"}, True), ({7: "nginx"}, False), ({}, False)]
)
def test_a_folder_that_may_not_be_listed_is_a_gap_where_docker_runs(tmp_path, commands, seen):
    """
    Without a sign of Docker nobody is told of it. A link in circles stands for a folder that
    may not be listed: it is none for root either.
    """
    ports, gaps = published(tmp_path, {CONTAINERS: Link(CONTAINERS)}, commands)

    assert [] == ports
    assert ([CONTAINERS] if seen else []) == [gap.source for gap in gaps]


@pytest.mark.parametrize(
    ("short", "expected"), [("3f2a3f2a3f2a", "web"), ("000000000000", ""), ("", "")]
)
def test_the_name_of_a_container(tmp_path, short, expected):
    """
    It is found by the beginning of the id.
    """
    root = os.fsencode(make_tree(tmp_path, {config(): container({})}))

    assert expected == container_name(short, CONTAINERS.encode(), root)
