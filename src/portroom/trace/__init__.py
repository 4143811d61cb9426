"""WATCH: events as they happen, by tracefs. It writes only an instance of its own there."""
