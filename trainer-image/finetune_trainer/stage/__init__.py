"""What every stage is run in.

stage.py          runs a stage: repeats a finished result, turns errors into results and exit codes
interruption.py   SIGTERM
stall.py          ends a stage that makes no progress
activity.py       CPU time and bytes of a process, the sign of life of silent libraries
progress.py       progress lines
phases.py         the phases of publish in progress lines and in the log
log_file.py       the log in the workspace
child_process.py  programs of this package in child processes
apart.py          their beginning
cores.py          how many cores the container has, and thread settings
free_memory.py    how much memory the container has left
"""
