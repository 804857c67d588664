"""The Kubernetes objects that the operator works with.

resources.py  kinds and their paths
names.py      names, labels and annotations of the children
records.py    slim, frozen copies of objects: what a plan may read
parse.py      from the API server's JSON to records
cache.py      all records by key, and which of our objects a change concerns
"""
