"""Tell how many more connections fit on a Linux host."""

__version__ = "0.1.0"
