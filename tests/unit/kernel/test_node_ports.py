"""A Kubernetes node is told by its processes, and its NodePorts by the API server's option."""

import pytest

from portroom.kernel.node_ports import parse_option, read_node_ports
from portroom.model.facts.answers import RangeEnds
from tests.unit.kernel.trees import Fifo, Link, make_tree

HERE = 4026531840
OPTION = "--service-node-port-range=20000-22767"


def node(tmp_path, processes, files=()):
    """
    Return the NodePorts with processes by command: their arguments, or None for elsewhere.
    """
    tree, commands = dict(files), {}
    for pid, (command, arguments) in enumerate(processes.items(), start=100):
        inode = HERE + (arguments is None)
        commands[pid] = command
        tree[f"proc/{pid}/cmdline"] = (arguments or "").replace(" ", "\0") + "\0"
        tree[f"proc/{pid}/ns/net"] = Link(f"net:[{inode}]")
    root = make_tree(tmp_path, tree)
    return read_node_ports(commands, HERE, root.encode(), f"{root}/proc")


@pytest.mark.parametrize(
    "command",
    ["kubelet", "kube-proxy", "k3s", "k3s-server", "k3s-agent", "k0s", "rke2", "kubelite"],
)
def test_a_process_makes_a_node(tmp_path, command):
    """
    Without an option that says otherwise the range is 30000-32767.
    """
    found = node(tmp_path, {command: ""})

    assert (RangeEnds(30000, 32767), f"{command} runs (process 100); the default range") == (
        found.ports,
        found.evidence,
    )


@pytest.mark.parametrize(
    "processes",
    [
        {},
        {"nginx": "", "systemd": ""},
        {"kubelet": None},
        {"kubelet-x": "", "Kubelet": ""},
        {"kube-apiserver": OPTION},
    ],
)
def test_no_node(tmp_path, processes):
    """
    Other names, a node in another namespace and a lone API server are no node.
    """
    assert node(tmp_path, processes) is None


@pytest.mark.parametrize(
    ("server", "arguments"),
    [
        ("kube-apiserver", f"kube-apiserver --v=2 {OPTION} --z"),
        ("kube-apiserver", "kube-apiserver --service-node-port-range 20000-22767"),
        ("kube-apiserver", f"kube-apiserver --service-node-port-range=1-2 {OPTION}"),
        ("k3s-server", "k3s server --kube-apiserver-arg=service-node-port-range=20000-22767"),
        ("k3s", "k3s server --kube-apiserver-arg service-node-port-range=20000-22767"),
        ("kubelite", OPTION),
    ],
)
def test_the_option_of_a_server_decides(tmp_path, server, arguments):
    """
    However it is written; given twice, the last one counts.
    """
    found = node(tmp_path, {"kubelet": "", server: arguments})

    assert RangeEnds(20000, 22767) == found.ports
    assert "kubelet runs (process 100), the command line of" in found.evidence


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/rancher/k3s/config.yaml", 'service-node-port-range: "20000-22767"\n'),
        (
            "/etc/rancher/rke2/config.yaml",
            """\
# service-node-port-range: 1-2
kube-apiserver-arg:
  - "service-node-port-range=20000-22767"
""",
        ),
        (
            "/etc/systemd/system/k3s.service",
            r"""
ExecStart=/usr/local/bin/k3s \
    server \
        '--service-node-port-range' \
        '20000-22767' \
""",
        ),
        ("/var/snap/microk8s/current/args/kube-apiserver", f"{OPTION}\n"),
    ],
)
def test_the_file_of_a_server_decides_where_it_hides_its_arguments(tmp_path, path, text):
    """
    k3s writes a title over its command line, so its files are asked.
    """
    found = node(tmp_path, {"k3s-server": "/usr/local/bin/k3s server"}, {path: text})

    assert RangeEnds(20000, 22767) == found.ports
    assert path in found.evidence


def test_files_count_for_servers_alone(tmp_path):
    """
    What lies about on a node without an API server says nothing, and a FIFO is not opened.
    """
    files = {
        "/etc/rancher/k3s/config.yaml": OPTION,
        "/etc/rancher/rke2/config.yaml": Fifo(),
    }

    assert RangeEnds(30000, 32767) == node(tmp_path / "a", {"k3s-agent": ""}, files).ports
    assert RangeEnds(20000, 22767) == node(tmp_path / "b", {"k3s": ""}, files).ports


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20000", RangeEnds(20000, 20000)),
        ("20000+99", RangeEnds(20000, 20099)),
        ("1-65535", RangeEnds(1, 65535)),
        ("0-0", None),
        ("20000-19999", None),
        ("60000+9999", None),
        ("999999-1", None),
        ("x", None),
        ("", None),
    ],
)
def test_values_of_the_option(value, expected):
    """
    What cannot be a range is none.
    """
    assert expected == parse_option(f"--service-node-port-range={value} --v=2")


def test_a_process_that_ended_is_none(tmp_path):
    """
    Its folder is gone by the time that it is looked at.
    """
    assert read_node_ports({7: "kubelet"}, HERE, b"/", str(tmp_path)) is None
