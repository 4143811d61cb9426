"""Doctor: what is wrong, or will be, and what to do about it. Changes nothing."""
