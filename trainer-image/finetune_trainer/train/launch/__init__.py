"""Starts and supervises the ranks of one node, in plain Python (no torch).

launcher.py    starts the ranks, waits for them, passes signals on
exchange.py    the folder through which launcher and ranks communicate
peers.py       TCP links to the launchers of the other nodes
heartbeat.py   how a rank shows that it is alive
watchdog.py    deadlines: decides from the heartbeats when to give up   (pure)
outcome.py     the exit codes of a node's ranks as one failure          (pure)
"""
