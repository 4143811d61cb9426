"""What the kernel does with ports: pure functions over facts."""
