"""Count TCP sockets per destination and state with psutil; print the total."""

from collections import Counter

import psutil  # type: ignore[import-untyped]

counts = Counter((one.status, one.laddr[:1], one.raddr) for one in psutil.net_connections("tcp"))
print(sum(counts.values()), len(counts))
