"""From files of rows to token ids, in four rooms.

    reading/   files to records: formats, compression, slices          (knows no task)
    rows/      records to rows of a task
    profile/   the pass over a whole file: findings, duplicates, labels, the split
    tokens/    rows to token ids: chat templates, masks, encoders, the Arrow files that training reads

Memory does not grow with the file but for a few bytes a row. Nothing here imports torch or knows of Kubernetes.
"""
