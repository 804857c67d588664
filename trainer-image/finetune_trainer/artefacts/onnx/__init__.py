"""Writes a merged model in formats of other runtimes and proves that they answer as PyTorch does.

build.py              language models: starts the builder
builder.py            onnxruntime-genai's builder, told what the server and transformers 5 need
decoder.py            an exported language model as a decoder
greedy.py             greedy answers of any decoder
parity.py             the proof: token for token
classifier.py         classifiers: one graph
classifier_parity.py  the proof: label by label
rehearse.py           the rehearsal that prepare asks for: export and comparison of a small copy
shrink.py             the config of that copy
liveliness.py         its weights
"""
