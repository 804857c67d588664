"""The three stages of a fine-tuning, and the inspection of a finished model; each a program of its own.

The stages:

    prepare/         checks the data and the model on a CPU, writes token ids    (does not import torch)
    train/           launches the worker processes and trains                    (knows no data formats)
    publish/         measures, merges, exports, writes the model directory
    inspect/         verifies a model directory and reports its manifest         (does not import torch)

What is added to often, each entry one file (docs/extending.md):

    tasks/           what rows look like, and what is learned from them
    objectives/      what is learned from a row: an answer, or which of two is preferred
    methods/         what of a model is trained, and what that costs
    optimizers/      how a step changes the weights, and the state that this takes
    strategies/      how a training is spread over processes
    artifacts/       the forms in which a model is published
    trackers/        where the figures of a training are shown

What they stand on:

    sources/         object stores, the Hub, web servers, folders
    data/            files of rows to token ids
    language_model/  causal language models: rows, batches, loss, scores
    preference/      language models that learn from several answers to a prompt
    classification/  classifiers: the same
    embedding/       embedding models: the same
    learner.py       the interface of these four rooms to train, evaluation and publish
    learners.py      the learner of a task and objective
    evaluation/      scores of base and tuned model, the gate, the skew check
    distributed/     devices, network interfaces and process groups
    statistics/      figures of rows, and their confidence intervals
    layers.py        the repeated layers of a model
    custom_loss.py   a user's own loss
    step_plan.py     which examples an optimizer step has
    operations.py    floating point operations of steps and validations
    checkpoint_store.py   copies of checkpoints in an object store
    trained.py       a run whose training has ended
    tokenizer.py     the tokenizer files of a published model
    families.py      which model families work (families.json)
    stage/           what every stage is run in: results, SIGTERM, progress, logs
    workspace/       the files that stages leave for each other
    failure.py       the exception for expected failures

Nothing here knows Kubernetes.
"""
