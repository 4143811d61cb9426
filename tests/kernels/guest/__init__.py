"""What runs inside a guest: modules are loaded step by step, and tests run in between."""
