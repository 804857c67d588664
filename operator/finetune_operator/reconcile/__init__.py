"""Works off the queue: observe, plan, execute, until there is nothing left to do.

queue.py       the key queue: deduplicating, serial per key, with back-off
reconciler.py  the loop of the workers
execute.py     carries out a plan: status first, then apply, patch, create, delete
announce.py    writes Events, asynchronously
"""
