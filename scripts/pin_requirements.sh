#!/usr/bin/env bash
# Writes the checksums of every package into the requirement files of the images, which pip then insists on.
# Change a version in one of them (its old checksums may stay), run this, and commit what it writes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for file in requirements/{operator,server-onnx,trainer}.txt; do
  uv pip compile "$file" --generate-hashes --no-deps --no-header --no-annotate --no-emit-index-url --python-version 3.11 --quiet --output-file "$file.new"
  mv "$file.new" "$file"
done
