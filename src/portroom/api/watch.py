"""Watch: failures as they happen. Changes nothing but a trace instance of its own."""
