"""Watches the API server and keeps the cache up to date; whatever changes wakes the objects that are concerned.

edge.py            our own kinds, through kopf: starts it again when it ends, lists again what it may have missed
kopf_thread.py     kopf itself, in a thread of its own
reflector.py       the children: a paged LIST, then a watch, for one resource
scope.py           one namespace, or all: its reflectors, and whether everything in it has been listed
watches.py         which watches are alive
warning_events.py  Warning events about children
guard.py           whether the admission policies of the delete guard are installed
kueue.py           whether Kueue is installed
installed.py       looks again now and then for either of them
"""
