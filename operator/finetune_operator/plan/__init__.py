"""Decides: `plan(observed, now) -> Plan`, for each of our kinds. Pure: no clock, no client, no randomness."""
