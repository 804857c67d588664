"""The base model, as far as it can be known without its weights.

base.py           files, config, weights and download together
files.py          which files make up a base model
config.py         what its JSON files say, and what is refused
pooling.py        how an embedding model makes one vector of a text
weights.py        its safetensors headers: parameters, and whether a file is whole
download.py       brings it into the workspace, once
architectures.py  which families serve which task, method and export (families.json)
"""
