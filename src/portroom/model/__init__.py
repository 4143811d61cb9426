"""THINK: what is, what it means, and what to do about it. No input, no output."""
