"""What the operator reports about itself.

logs.py     JSON lines on standard error
metrics.py  Prometheus metrics
probes.py   /metrics, /healthz and /readyz
"""
