"""Measure portroom beside its peers: ``python -m bench``, or ``./run bench``.

Whole processes, from fork to exit, in network namespaces that this package
fills itself. It is never a timed test: nothing fails because a machine is slow.

Rules of this package:

- `namespace`, `workers` and `population` make sockets, `process` runs one
  command, `rounds` runs several in turn, `plan` says what is run where,
  `comparisons` judges, `table` writes; `peers/` are programs of their own.
- whatever it makes dies with it: no namespace has a name and every process is
  killed with its parent;
- it stays small: a child's peak memory is never read lower than its parent's.
"""
