"""The three stages of a fine-tuning, and the inspection of a finished model; each a program of its own.

    prepare   checks the data and the model on a CPU, writes token ids         (knows no torch)
    train     launches the worker processes and trains                         (knows nothing of data formats)
    publish   measures, merges, exports, writes the model directory
    inspect   verifies a model directory and repeats what its manifest says    (knows no torch)

They share the workspace folder (`workspace.py`), the plan of the optimizer steps (`step_plan.py`), what an entity is
(`entities.py`), which model families work (`families.py`) and the frame that turns errors into results (`stage.py`), and know nothing of
Kubernetes.
"""
