"""Tests in ``guest`` ask another kernel: they run in a guest, and nowhere else."""

import os

collect_ignore_glob = [] if os.environ.get("PORTROOM_GUEST") else ["guest/test_*.py"]
