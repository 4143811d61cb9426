"""What keeps a setting of a container or pod is told for its runtime."""

import pytest

from portroom.model.advice.durable import durable
from portroom.model.facts.surroundings import Workload
from portroom.model.laws.acceptance import RANGE_KEY, RESERVED_KEY, START_KEY

REUSE = "net.ipv4.tcp_tw_reuse"
VALUES = {RANGE_KEY: "15000 64001", RESERVED_KEY: "8080"}


def lines(runtime, values=None):
    """Return the lines for a runtime as one text."""
    return "\n".join(durable(Workload(runtime, "web"), values or VALUES))


def test_docker_has_options_and_compose():
    """Values with a blank are quoted for the shell and for YAML."""
    text = lines("docker")

    assert 'docker run --sysctl net.ipv4.ip_local_port_range="15000 64001"' in text
    assert '  sysctls:\n    net.ipv4.ip_local_port_range: "15000 64001"' in text
    assert "--network=host" in text


def test_podman_has_options_and_a_quadlet():
    """A unit file quotes the whole assignment."""
    text = lines("podman")

    assert 'podman run --sysctl net.ipv4.ip_local_port_range="15000 64001"' in text
    assert '  Sysctl="net.ipv4.ip_local_port_range=15000 64001"' in text
    assert "  Sysctl=net.ipv4.ip_local_reserved_ports=8080" in text


def test_kubernetes_has_the_lines_of_a_pod():
    """Safe sysctls need nothing but a recent cluster; hostNetwork is refused."""
    text = lines("kubernetes")

    assert (
        "  securityContext:\n"
        "    sysctls:\n"
        "    - name: net.ipv4.ip_local_port_range\n"
        '      value: "15000 64001"'
    ) in text
    assert f"{RESERVED_KEY} is safe since Kubernetes 1.27" in text
    assert "--allowed-unsafe-sysctls" not in text
    assert "hostNetwork" in text


def test_kubernetes_says_what_a_node_must_allow():
    """All but three sysctls are unsafe until the kubelet is told."""
    text = lines("kubernetes", {REUSE: "1", START_KEY: "80"})

    assert f"--allowed-unsafe-sysctls={REUSE}\n" in text
    assert "SysctlForbidden" in text


@pytest.mark.parametrize("runtime", ["other", "something new"])
def test_an_unknown_runtime_is_told_the_settings(runtime):
    """What to set is known even where it is not known how."""
    assert f"  {RANGE_KEY} = 15000 64001" in lines(runtime)


def test_a_namespace_of_the_host_needs_none():
    """Files keep its settings."""
    assert () == durable(None, VALUES)


def test_an_empty_list_needs_no_line():
    """A new namespace has no reserved port anyway."""
    assert () == durable(Workload("docker", "web"), {RESERVED_KEY: ""})
