"""The newest kernel of a series is found among the names of packages."""

import pytest

from tests.kernels.series import newest

NAMES = (
    "linux-image-6.1-cloud-amd64",  # a package that only depends on the newest
    "linux-image-6.1.0-0.deb11.52-cloud-amd64",
    "linux-image-6.1.0-9-cloud-amd64",
    "linux-image-6.1.0-56-cloud-amd64",
    "linux-image-6.1.0-57-cloud-amd64-unsigned",
    "linux-image-6.1.0-58-amd64",
    "linux-image-6.12.94+deb13-cloud-amd64",
    "linux-image-6.12.117+deb12-cloud-amd64",
    "linux-image-6.18.15+deb13-cloud-amd64",
    "linux-image-6.19.14+deb13-cloud-amd64",  # holds nothing: it was split
    "linux-binary-6.19.14+deb13-cloud-amd64",  # its modules are not there any more
    "linux-image-7.3.4+deb13-cloud-amd64",
    "linux-binary-7.3.4+deb13-cloud-amd64",
    "linux-modules-7.3.4+deb13-cloud-amd64",
)


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ("6.1", ("linux-image-6.1.0-56-cloud-amd64",)),
        ("6.12", ("linux-image-6.12.117+deb12-cloud-amd64",)),
        ("6.x", ("linux-image-6.18.15+deb13-cloud-amd64",)),
        (
            "newest",
            ("linux-binary-7.3.4+deb13-cloud-amd64", "linux-modules-7.3.4+deb13-cloud-amd64"),
        ),
        ("5.10", ()),
    ],
)
def test_the_newest_whole_kernel_is_taken(series, expected):
    """Numbers count as numbers, and a kernel without its modules does not count at all."""
    assert expected == newest(series, NAMES)
