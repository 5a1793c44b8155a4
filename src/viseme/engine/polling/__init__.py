"""Polling: when waiting tasks are looked at, and what was seen."""
