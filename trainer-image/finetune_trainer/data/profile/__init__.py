"""The validation pass over a whole file and what it finds: findings, duplicates, labels, the split.

dataset_file.py    a file of rows that can be read again and again, and the same with its profile
profile.py         what the pass has found
chunk_stats.py     the statistics of one chunk of a file
processes.py       the chunks in several processes
findings.py        what is wrong with rows, how often and where
notes.py           notes about rows that are left out, and words for counts
labels.py          which labels there are and whether they can be learned
duplicates.py      rows that occur twice
near_duplicates.py, near_rows.py    rows that are nearly equal
splits.py          which rows are in which split
hold_out.py        which rows are held out, by hashes alone

Knows no tokens.
"""
