"""Rows for summarization: what Python packages say of themselves at length, and in the one line of their metadata."""

import importlib.metadata
import re
from pathlib import Path

MARKUP = re.compile(r"<[^>]+>|!\[[^\]]*\]\([^)]*\)|\[!\[.*?\]\(.*?\)\]\(.*?\)|https?://\S+|[#*`=|>~_-]{2,}|^\s*[#>|].*$", re.MULTILINE)
LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
SHORTEST = 200
LONGEST = 1200
"""Characters of a description."""


def write_summaries(folder: Path) -> None:
    """train.parquet with the columns name, description and summary, a row for each installed package that says enough."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {}
    for package in importlib.metadata.distributions():
        name, summary, description = package.metadata["Name"], package.metadata["Summary"], text_of(package)
        if summary and 20 <= len(summary) <= 160 and len(description) >= SHORTEST:
            rows[name.lower()] = {"name": name, "description": description, "summary": summary.strip()}
    pq.write_table(pa.Table.from_pylist([rows[name] for name in sorted(rows)]), folder / "train.parquet")
    print(f"  train.parquet: {len(rows)} packages", flush=True)


def text_of(package: importlib.metadata.Distribution) -> str:
    """The beginning of a package's description as plain text."""
    body = package.metadata.get_payload()
    text = LINK.sub(r"\1", MARKUP.sub(" ", body if isinstance(body, str) else ""))
    words = " ".join(text.split())
    return words if len(words) <= LONGEST else words[:LONGEST].rpartition(" ")[0]
