"""Causes: why an errno comes, one small pure function a cause, each with its evidence."""
