"""The inference server: an OpenAI-compatible HTTP layer over engines behind one small interface.

It starts from a model directory (`finetune_api.model_directory`) and holds no Kubernetes credentials. It knows neither
the operator nor the trainer, and it never imports torch or transformers.

__main__            the program's start
program.py          the server's life cycle: listen, load, serve, drain, exit
settings.py         program arguments and the API key
processors.py       the number of processors that this container may use
lifecycle.py        the server's state, from loading to closed
logs.py             JSON lines on standard error
metrics.py          Prometheus metrics
model_directory.py  verifies the files of a model directory

Rooms, in the order of imports:

http/               OpenAI's API
models/             from a verified model directory to a model that answers
generation/         answers of language models: from token ids to text and tool calls
classification/     results of classifiers: from text to inputs, from logits to labels and entities
engines/            token ids in, token ids or logits out
"""
