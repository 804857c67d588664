"""What rows of all tasks have in common once they are right: they are structs, which have one form as bytes."""

import msgspec

Row = msgspec.Struct
"""A row of some task; each task has its own type."""

canonical = msgspec.json.Encoder(order="deterministic").encode
"""Row -> the same bytes for the same content, however the row was written."""
identity = msgspec.msgpack.Encoder(order="deterministic").encode
"""The same in fewer steps, for what is computed of every row and never shown: its fingerprint."""
