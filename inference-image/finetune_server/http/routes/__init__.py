"""The endpoints, a router each.

- `chat`: POST /v1/chat/completions
- `completions`: POST /v1/completions
- `classify`: POST /v1/classify
- `token_classify`: POST /v1/token-classify
- `classifications`: what both classification endpoints do
- `models`: GET /v1/models
- `probes`: GET /healthz, /readyz and /metrics
"""
