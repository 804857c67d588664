#!/usr/bin/env bash
# Every static check, all of them even when one fails; the last line says which did.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
export PATH=$PWD/.venv/bin:$PATH
failed=()

check() {
  local name=$1
  shift
  echo "-- $name"
  "$@" || failed+=("$name")
}

chart() { helm lint --quiet charts/finetune-operator && helm template release charts/finetune-operator >/dev/null; }

mapfile -t scripts < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)
check ruff ruff check --quiet .
check format ruff format --check --quiet .
check mypy mypy
check imports lint-imports --no-logo
check crds python -m finetune_api.crds --check
check models python scripts/models_page.py --check
check helm chart
check shellcheck shellcheck --external-sources "${scripts[@]}"

[ ${#failed[@]} = 0 ] || {
  echo "failed: ${failed[*]}"
  exit 1
}
echo "all checks passed"
