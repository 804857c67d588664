"""The files that stages leave for each other.

workspace.py      the layout of the workspace
prepared.py       prepared.json
prepared_rows.py  the Arrow files with the rows
requests.py       validation rows as requests to a server
handover.py       whether the files of an earlier stage are intact
sealed.py         directories with a completion marker
checksums.py      sizes and checksums
files.py          atomic writes
"""
