"""Where bytes come from: local paths (volumes and config maps are mounted), object stores, the Hugging Face Hub, web servers.

    open.py        picks the scheme
    local.py       files of this machine, used in place
    store.py       what object stores have in common behind fsspec
    s3.py, gs.py, abfs.py, hf.py    one of them each
    web.py         web servers
    guard.py       which addresses they may lie at
    partial.py, gunzip.py    what has arrived of a download, and unpacking it
    folder.py      the view that a base model's checks have of a folder
    keys.py        a Secret's keys
    subject.py     the words for what goes wrong

Nothing here knows what the bytes mean.
"""
