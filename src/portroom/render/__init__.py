"""Say: pure functions from an Answer to text, JSON, and rows; one file an Answer."""
