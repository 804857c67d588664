"""Files to records: formats, compression, slices. Knows no task."""
