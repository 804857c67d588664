"""The endpoints, a router each.

chat.py             POST /v1/chat/completions
completions.py      POST /v1/completions
classify.py         POST /v1/classify
token_classify.py   POST /v1/token-classify
embeddings.py       POST /v1/embeddings
classifications.py  what the endpoints of encoders do
models.py           GET /v1/models
probes.py           GET /healthz, /readyz and /metrics
"""
