"""The one error of a benchmark."""


class BenchError(Exception):
    """Say in one sentence what could not be built or measured."""
