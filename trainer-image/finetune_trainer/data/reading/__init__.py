"""Files to records: formats, compression, slices. Knows no task.

record_file.py   a file of records that can be read again and again
record.py        what a file is cut into
recognise.py     what a file is, judged by its first bytes
near_misses.py   text that is nearly a file of rows, and the command that makes rows of it
reader.py        what the reader of one format does
jsonl.py, json_array.py, csv_table.py, table.py    the readers
table_file.py    Parquet and Arrow files, open
columns.py       Arrow columns to the types of JSON
stream.py        the bytes of a file as they were before compression, and its lines
unpack.py        tables inside .gz or .zst
byte_range.py    many lines by their place, for a process that reads them itself
slices.py        which part of a file's records is wanted
"""
