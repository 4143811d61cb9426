"""Predict with the product, then do it, and compare: the one adaptor to portroom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from portroom.api import look
from portroom.kernel.route import read_route
from portroom.model.facts.answers import Key
from portroom.model.facts.questions import HeadroomQuestion
from portroom.model.facts.snapshot import Features
from portroom.model.facts.sockets import Endpoint, Operation, Protocol
from tests.kernel import needs
from tests.kernel.sockets import Address, Filled, connected, take, tcp, udp

Span = tuple[int, int]
"""Free ports: at least, at most."""


def question(
    remote: Address | None,
    *,
    from_address: str | None = None,
    protocol: str = "tcp",
    operation: str = "connect",
    probe: bool = False,
    probe_last: bool = False,
    features: Features | None = None,
) -> tuple[Key, ...]:
    """
    Return the product's keys for one question about the present namespace.

    Args:
        remote: Where a connect would go; None for bind0.
        from_address: The local address; None for that of the route.
        protocol: ``tcp`` or ``udp``.
        operation: ``connect`` or ``bind0``.
        probe: Let the product settle doubt with the kernel's own search.
        probe_last: The last free port included.
        features: What the kernel is known to be able to do; None asks it again.
    """
    asked = HeadroomQuestion(
        address=str(Endpoint(*remote)) if remote else None,
        from_address=from_address,
        protocol=Protocol(protocol),
        operation=Operation(operation),
        probe=probe,
        probe_last=probe_last,
        owners=False,
    )
    return look.headroom(asked, look.Live(features=features)).keys


def predict(remote: Address | None, *, probe: bool = False, **asked: Any) -> Key:
    """
    Return the product's answer for one key, as ``question`` with --probe-last.

    The local address is that of the route unless given, even where
    connections come from other addresses too.
    """
    keys = question(remote, probe=probe, probe_last=probe, **asked)
    if len(keys) > 1 and remote:
        local = read_route(remote[0]).local_address
        keys = tuple(key for key in keys if key.local_address == local)
    (key,) = keys
    return key


class Trial(NamedTuple):
    """
    What was predicted, and what happened then.

    ``probed`` is the prediction with the probe, None where it is not offered.
    """

    what: str
    predicted: Span
    probed: Span | None
    real: Filled

    @property
    def surprise(self) -> str:
        """Return how the kernel disagreed with the prediction, or ""."""
        count = self.real.count
        if self.probed and not self.probed[0] <= count <= self.probed[1]:
            return f"{self.what}: probed {self.probed}, really {count}"
        if not self.predicted[0] <= count <= self.predicted[1]:
            return f"{self.what}: predicted {self.predicted}, really {count}"
        return ""


def outcomes(trials: Iterable[Trial]) -> list[tuple[int, str | None]]:
    """Return how many sockets the kernel gave in each trial, and its refusal."""
    return [trial.real.outcome for trial in trials]


def surprises(trials: Iterable[Trial]) -> list[str]:
    """Return where the kernel disagreed with a prediction; none is right."""
    return [trial.surprise for trial in trials if trial.surprise]


def in_doubt(trials: Iterable[Trial]) -> list[int]:
    """
    Return how many ports each prediction with the probe left in doubt.

    Nothing where this kernel cannot tell of each port: there the span alone is promised.
    """
    if not needs.settles_all():
        return [0 for _ in trials]
    return [upper - lower for lower, upper in (trial.probed or (0, 0) for trial in trials)]


def try_connect(remote: Address, **options: object) -> Trial:
    """
    Predict and then make TCP connections to *remote* until the kernel refuses.

    Args:
        remote: Where to connect to.
        options: For each socket, as for ``tcp``.
    """
    bound = options.get("bind")
    from_address = bound[0] if bound else None
    free = predict(remote, from_address=from_address)
    probed = predict(remote, from_address=from_address, probe=True)
    real = take(lambda: connected(remote, **options))
    return Trial(f"connect {remote} {options}", span(free), span(probed), real)


def try_bind0(address: str, **options: object) -> Trial:
    """Predict and then bind *address* to any port until the kernel refuses."""
    free = predict(None, from_address=address, operation="bind0")
    real = take(lambda: tcp((address, 0), **options))
    return Trial(f"bind0 {address} {options}", span(free), None, real)


def try_udp_connect(remote: Address, **options: object) -> Trial:
    """Predict and then connect UDP sockets until the kernel refuses."""
    bound = options.get("bind")
    free = predict(remote, from_address=bound[0] if bound else None, protocol="udp")
    real = take(lambda: connected(remote, make=udp, **options))
    return Trial(f"udp connect {remote} {options}", span(free), None, real)


def try_udp_bind0(address: str, **options: object) -> Trial:
    """Predict and then bind UDP sockets to any port until the kernel refuses."""
    free = predict(None, from_address=address, protocol="udp", operation="bind0")
    real = take(lambda: udp((address, 0), **options))
    return Trial(f"udp bind0 {address} {options}", span(free), None, real)


def span(key: Key) -> Span:
    """Return what a key says is free: at least, at most."""
    return key.free_ports, key.free_ports_max
