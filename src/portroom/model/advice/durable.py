"""How a setting of a container or pod is kept: what to write where it is started.

A value that is written into a running namespace ends with it; no file of the
host reaches it.

Source: Kubernetes pkg/kubelet/sysctl/safe_sysctls.go; Docker and Podman,
``run --sysctl``; Compose, ``sysctls``; podman-systemd.unit(5), ``Sysctl=``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from portroom.model.facts.surroundings import Workload
from portroom.model.laws.acceptance import RANGE_KEY, RESERVED_KEY, START_KEY

SAFE = {
    RANGE_KEY: "",
    START_KEY: "since Kubernetes 1.22",
    RESERVED_KEY: "since Kubernetes 1.27, with Linux 3.16 or later",
}
"""The sysctls that each pod may set; all others a node has to allow."""


def durable(workload: Workload | None, values: Mapping[str, str]) -> tuple[str, ...]:
    """
    Return the lines that keep settings of a container or pod.

    Args:
        workload: Whose the namespace is; None for one of the host.
        values: Canonical text by sysctl; an empty one is the default of a new
            namespace and needs no line.
    """
    kept = {key: value for key, value in values.items() if value}
    if workload is None or not kept:
        return ()
    return tuple(WAYS.get(workload.runtime, _other)(kept))


def _docker(values: Mapping[str, str]) -> list[str]:
    """Return the options of docker run, and the lines of a Compose file."""
    return [
        f"docker run {_options(values)} …",
        "Compose, in the service:",
        "  sysctls:",
        *(f'    {key}: "{value}"' for key, value in values.items()),
        "With --network=host Docker refuses it: the settings are those of the host.",
    ]


def _podman(values: Mapping[str, str]) -> list[str]:
    """Return the options of podman run, and the lines of a Quadlet unit."""
    return [
        f"podman run {_options(values)} …",
        "Quadlet, in [Container]:",
        *(f"  Sysctl={_unit_value(key, value)}" for key, value in values.items()),
        "In a pod, give --sysctl to podman pod create. With --network=host it is refused.",
    ]


def _kubernetes(values: Mapping[str, str]) -> list[str]:
    """Return the lines of a pod, and what the cluster has to allow for them."""
    lines = ["In the pod, spec:", "  securityContext:", "    sysctls:"]
    for key, value in values.items():
        lines += [f"    - name: {key}", f'      value: "{value}"']
    lines += [f"{key} is safe {SAFE[key]}." for key in values if SAFE.get(key)]
    unsafe = ",".join(key for key in values if key not in SAFE)
    if unsafe:
        lines += [
            f"Not safe by default: the kubelet of the node needs --allowed-unsafe-sysctls={unsafe}",
            "or the pod is rejected there (SysctlForbidden).",
        ]
    lines.append(
        "With hostNetwork: true the kubelet refuses it: the settings are those of the node."
    )
    return lines


def _other(values: Mapping[str, str]) -> list[str]:
    """Return what can be said where the runtime is not known."""
    return ["Where the namespace is made, set:"] + [
        f"  {key} = {value}" for key, value in values.items()
    ]


def _options(values: Mapping[str, str]) -> str:
    """Return the options of ``run``."""
    return " ".join(f'--sysctl {key}="{value}"' for key, value in values.items())


def _unit_value(key: str, value: str) -> str:
    """Return an assignment for a unit file, in quotes where it has a blank."""
    return f'"{key}={value}"' if " " in value else f"{key}={value}"


WAYS: Mapping[str, Callable[[Mapping[str, str]], list[str]]] = {
    "docker": _docker,
    "podman": _podman,
    "kubernetes": _kubernetes,
}
"""How each runtime keeps a setting."""
