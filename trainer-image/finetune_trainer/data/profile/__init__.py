"""The pass over a whole file: findings, duplicates, labels, the split.

    row_file.py    a file of rows of one task, which is surveyed once and read again and again
    tally.py, processes.py    what a stretch of a file comes to, in one process or several
    findings.py, places.py    what is wrong with a file, and where
    survey.py      what the pass has found
    duplicates.py, near_duplicates.py, near_rows.py    rows that are there twice, or nearly
    labels.py      which labels there are and whether they can be learnt
    split.py, sides.py    which rows are held out
    notes.py       words for what was counted

It knows no tokens.
"""
