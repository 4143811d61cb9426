"""Count TCP sockets per destination and state with pyroute2; print the total."""

import socket
from collections import Counter

from pyroute2 import DiagSocket  # type: ignore[import-untyped]

ALL_STATES = 0xFFF

counts: Counter[tuple[object, ...]] = Counter()
with DiagSocket() as kernel:
    kernel.bind()
    for family in (socket.AF_INET, socket.AF_INET6):
        counts.update(
            (one["idiag_state"], one["idiag_src"], one["idiag_dst"], one["idiag_dport"])
            for one in kernel.get_sock_stats(
                family=family, protocol=socket.IPPROTO_TCP, states=ALL_STATES
            )
        )
print(sum(counts.values()), len(counts))
