"""READ: the only room that reads the system. It returns model values."""
