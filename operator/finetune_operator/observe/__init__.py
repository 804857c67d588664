"""Gathers what a plan reads about one object.

observer.py    one method for each of our kinds: from a key to an Observed...
reads.py       reads on demand of what is not watched: nodes, claims, objects in the way
stage_logs.py  tails of the pods' logs
"""
