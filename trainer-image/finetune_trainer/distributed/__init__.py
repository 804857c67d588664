"""Processes that train together: where each runs, and how they find each other and agree. Knows no model.

network.py   names, ports and interfaces                (no torch)
settings.py  environment variables of libraries         (no torch)
device.py    the GPU or CPU of a rank
world.py     the process group, and collective decisions
"""
