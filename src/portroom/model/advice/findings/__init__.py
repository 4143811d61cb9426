"""Findings: small pure rules, each of which says what is wrong and what to do about it.

Rules of this folder:

- a rule looks at a Scene and yields findings; ``table.py`` has all of them, with
  the parts that each needs;
- without a number nothing is found, and what could not be read is no finding;
- a threshold is a named constant with its reason;
- a rule whose case is not there ends early: an idle host pays for a few look-ups.
"""
