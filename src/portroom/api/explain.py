"""Explain: why a connect, bind, listen or send fails. Changes nothing."""
