"""Where bytes come from: local paths (volumes and config maps are mounted), object stores, the Hugging Face Hub, web servers.

`open.py` picks the scheme. `store.py` has what object stores have in common behind fsspec, and `s3.py`, `gs.py`, `abfs.py` and
`hf.py` know one each; `web.py` fetches from web servers, which addresses it may reach says `guard.py`; `subject.py` has the
words for what goes wrong. Nothing here knows what the bytes mean.
"""
