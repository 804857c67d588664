"""Talks to the API server. Knows paths and verbs, but not what an object means.

connection.py   address, TLS and credentials
api.py          requests: get, list, watch, create, apply, patch, replace, delete
errors.py       the errors of a request, as types
merge_patch.py  JSON merge patches
lease.py        leader election
"""
