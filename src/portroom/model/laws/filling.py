"""When a key has no port left: ports come back at known times, others are taken.

For the time of one TIME_WAIT every port that comes back is known by the second. After
that those come back that end from now on, so that only what stays grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

HORIZON_S = 86_400.0
"""Nothing is foreseen for longer than a day."""


class Course(NamedTuple):
    """
    How ports of one key are taken and come back.

    ``taken_per_s`` are taken each second, those that end in TIME_WAIT included.
    ``returned`` come back within the first, second, … coming second. After these
    ``growth_per_s`` are taken each second for longer than a TIME_WAIT.
    """

    taken_per_s: float
    growth_per_s: float
    returned: Sequence[int]


def seconds_until(ports: float, course: Course) -> float | None:
    """
    Return when so many more ports are held; None is not within HORIZON_S.

    Args:
        ports: How many more ports than now.
        course: How they are taken and come back.

    >>> seconds_until(0, Course(1.0, 0.0, [])), seconds_until(100, Course(0.0, 0.0, [5]))
    (0.0, None)
    >>> seconds_until(100, Course(10.0, 0.0, [0] * 60))
    10.0
    >>> seconds_until(100, Course(10.0, 0.0, [0] * 5 + [10] * 55)) is None
    True
    >>> seconds_until(100, Course(10.0, 1.0, [10] * 60))
    160.0
    """
    if ports <= 0:
        return 0.0
    taken = 0.0
    if course.taken_per_s * len(course.returned) >= ports:
        for second, returned in enumerate(course.returned):
            step = course.taken_per_s - returned
            if taken + step >= ports:
                return second + (ports - taken) / step
            taken += step
    else:
        # Even if nothing came back they would not be taken by then.
        taken = course.taken_per_s * len(course.returned) - sum(course.returned)
    if course.growth_per_s <= 0:
        return None
    full_s = len(course.returned) + (ports - taken) / course.growth_per_s
    return full_s if full_s <= HORIZON_S else None
