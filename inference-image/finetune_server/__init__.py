"""The inference server: an OpenAI-compatible HTTP layer over engines behind one small interface.

It starts from a model directory (`finetune_api.model_directory`) and holds no Kubernetes credentials. It knows neither
the operator nor the trainer, and it never imports torch or transformers.

- `__main__`: the program's start
- `program`: the server's life: listen, load, serve, drain, end
- `settings`: program arguments and the API key
- `processors`: the number of processors that this container may use
- `lifecycle`: the server's state, from loading to closed
- `logs`: JSON lines on standard error
- `metrics`: Prometheus metrics
- `model_directory`: verifies the files of a model directory

Rooms, each importing from those below it only:

- `http`: OpenAI's API
- `models`: from a verified model directory to a model that answers
- `generation`, `classification`: what language models and classifiers do with text
- `engines`: token ids in, token ids or logits out
"""
