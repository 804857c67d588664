"""Where bytes come from: local paths (volumes and config maps are mounted) and S3 buckets.

`open.py` picks the scheme, `local.py` and `s3.py` know one each, `subject.py` has the words for what goes wrong. Nothing
here knows what the bytes mean.
"""
