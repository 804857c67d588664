"""The bodies of requests, as pydantic models that refuse what this server cannot do.

- `body`: how a request's body is read and what all bodies have
- `generation`: the parameters that chat completions and completions share
- `chat`: POST /v1/chat/completions
- `messages`: the messages of a chat
- `tools`: tools, and calls of them
- `completion`: POST /v1/completions
- `classification`: POST /v1/classify and /v1/token-classify
"""
