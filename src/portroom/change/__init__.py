"""Write: the only room that changes settings."""
