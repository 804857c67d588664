"""The first stage: everything that can be checked and decided without a GPU.

    main.py             the stage from beginning to end
    examine.py          all that is found out before the base model's weights are needed
    base/               the base model: its files, config, weights' headers, download
    dataset/            rows: fetched, validated, split
    examples/           rows to token ids, cut to the longest sequence
    hyperparameters.py  a value and a reason for everything that the spec leaves open
    fit/                whether the training fits into memory, and with which micro-batches; tokens, hours, cost
    speeds.py           how fast known GPUs are
    disk_space.py       the disk space that the later stages need
    report.py           report.json

It imports neither torch nor transformers and starts in less than a second.
"""
