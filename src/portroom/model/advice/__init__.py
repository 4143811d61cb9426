"""Advice: what to do, and what to know before."""
