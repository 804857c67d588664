"""The train stage: from prepared rows and a base model to trained weights, on any number of processes.

    main.py         the stage: repeat a finished result, or launch                   (no torch)
    launch/         starts this node's ranks and supervises them                     (no torch)
    worker.py       one rank as a process: dies with its launcher, handles SIGTERM
    rank.py         what a rank does: join, load, train
    finish.py       what is done after the last step: the weights to leave, and the result
    loop/           the loop: transformers.Trainer, one optimizer step at a time
    checkpoints.py  complete or absent, newest first, over all attempts
    best.py         the checkpoint with the lowest validation loss, to be published
    resume.py       the checkpoint that all ranks resume from
    copier.py       copies checkpoints to an object store, beside the training
    restore.py      brings copies back into a workspace that has lost its checkpoints
    micro_batch.py  half of it, after an attempt that ran out of memory
    row_places.py   the dataset's lines that rows come from, for messages
    errors.py       torch's errors as failures of the stage

The launcher and its ranks are separate programs: the first starts in no time and survives what happens to the others.
"""
