"""kubectl-finetune: what can be found out without a cluster.

    main.py          the command line
    validate.py      the command `validate`: a dataset, or a FineTuneJob with its dataset
    manifest.py      a FineTuneJob out of a YAML file, with the line of every field
    run_configs.py   the run config of a command line or a manifest
    rules.py         the CEL rules of a resource definition, without an API server
    dataset.py       a dataset validated as prepare does it, the report as the result
    report_text.py   the report for people
    bar.py           the progress bar
    problems.py      what a command line may get wrong

It knows no Kubernetes API; the checks of data are those of the prepare stage, which imports no torch.
"""
