"""Remember: samples over time, and Snapshots around what happened."""
