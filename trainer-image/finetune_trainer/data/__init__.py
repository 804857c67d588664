"""From a file of chat rows to token ids.

    sniff.py          what a file is before anything reads it as rows
    rows.py           rows out of JSONL and JSON arrays, one at a time
    conversation.py   what a row must look like
    explain.py        what is wrong with a row that does not
    findings.py       counts what is wrong, keeps the first ones
    survey.py         the pass that validates a whole file
    split.py          which rows are trained on and which are held out
    template.py       the model's chat template
    spans.py          which characters of a rendered conversation the assistant said
    encode.py         token ids and loss masks
    arrow.py          the files that training reads

Memory does not grow with the file but for eight bytes a row.
"""
