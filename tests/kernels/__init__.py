"""Other kernels: boot each in a virtual machine, and run the tests of the kernel there.

Rules of this package:

- software emulation, no network device, nothing of this machine is mounted or
  changed; no root is needed;
- kernels are named by series; which package is the newest is asked each time;
- all that is fetched or made lies in ``build/kernels``;
- what ends without a result has failed.
"""
