"""The operator: watches our kinds and their children, decides what to do, and does it.

process.py        the process: stands by for the Lease, fills the cache, watches and works until SIGTERM
listen/           watches of our kinds, of their children and of Warning events
reconcile/        the key queue, its workers, and the execution of plans
observe/          gathers what a plan reads: from the cache, and by reads on demand
plan/             decides (pure functions)
build/            builds the child objects (pure functions)
client/           HTTP to the API server: connection, requests, errors, the Lease
objects/          names, paths and slim records of the objects, and the cache that holds them
telemetry/        logs, metrics and probes
settings.py       what the administrator configured
environment.py    reads the settings from environment variables
"""
