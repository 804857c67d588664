"""The first stage: everything that can be checked and decided without a GPU.

    main.py             the stage from beginning to end
    examine.py          all that is found out before the base model's weights are needed
    base.py             the base model: files, config, weights and download together
    base_files.py       which files make up the base model
    base_config.py      what its JSON files say, and what is refused
    weights.py          its safetensors headers: parameters, and whether a file is whole
    download.py         brings it into the workspace, once
    architectures.py    which families serve which task, method and export (families.py, families.json)
    dataset.py          rows: fetched, validated, dealt to the two sides
    row_source.py       one file of them: brought here and surveyed
    classes.py          what a classifier is to tell apart
    rehearsal.py        the ONNX export of a small copy, in a process of its own
    encoder.py          what turns the task's rows into token ids: tokenizer, chat template, or what takes its place
    examples.py         rows to token ids, cut
    control_texts.py    rows that spell special tokens
    message_names.py    names of messages that the chat template does not write
    refusals.py         rows that the chat template does not take
    statistics.py       histograms and quantiles
    report.py           report.json
    hyperparameters.py  a value and a reason for everything that the spec leaves open
    choice.py           micro-batches and gradient checkpointing that the training could run with, and what each needs
    model_shape.py      what the memory depends on, out of config.json and the tensors' shapes
    memory.py           the memory of a training process, by a formula
    fit.py              will it fit: the choice, or
    too_large.py        why not, and what would
    expectation.py      tokens, hours, cost
    speeds.py           how fast known GPUs are
    estimate.py         the disk space that the later stages need

It imports neither torch nor transformers and starts in less than a second.
"""
