"""The bodies of requests, as pydantic models that refuse what this server cannot do.

body.py            how a request's body is read and what all bodies have
generation.py      the parameters that chat completions and completions share
chat.py            POST /v1/chat/completions
messages.py        the messages of a chat
tools.py           tools, and calls of them
completion.py      POST /v1/completions
classification.py  POST /v1/classify and /v1/token-classify
embedding.py       POST /v1/embeddings
"""
