"""The operator: watches our kinds and their children, decides, acts.

edge.py, reflector.py   listen           records.py  what plan may know
queue.py, cache.py      remember         plan/       decides (pure)
observe.py              gathers          build/      builds children (pure dicts)
execute.py              acts             api.py      speaks HTTP
"""
