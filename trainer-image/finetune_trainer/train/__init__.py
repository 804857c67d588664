"""The train stage: from prepared rows and a base model to trained weights, on any number of processes.

    main.py         the stage: repeat a finished result, or launch          (no torch)
    launcher.py     starts this node's ranks and watches over them          (no torch)
    watchdog.py     when there is no hope left                              (pure)
    trend.py        whether the loss went down                              (pure)
    outcome.py      what a node's exits come to, as one exit code           (pure)
    heartbeat.py    how a rank shows that it lives
    worker.py       one rank as a process: dies with its launcher, hears SIGTERM
    rank.py         what a rank does: join, load, train, leave the result
    objective.py    what is learned: the interface between the loop and the kinds of training
    loop.py         the loop: transformers.Trainer, one step at a time
    checkpoints.py  complete or absent, newest first, over all attempts

The launcher and its ranks are separate programs: the first starts in no time and survives what happens to the others.
"""
