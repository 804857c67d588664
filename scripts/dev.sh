#!/usr/bin/env bash
# Makes .venv with the packages of this repository installed in place, helm, and kubectl where the machine has none.
# A stamp remembers what it was made from, so a second run takes no time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=$(cat pyproject.toml requirements/* scripts/dev.sh scripts/cluster_tools.py | sha256sum | cut -d' ' -f1)
stamp=.venv/.made-from
[ "$(cat $stamp 2>/dev/null)" != "$wanted" ] || exit 0

# A Debian without python3-venv has a `venv` module that cannot make an environment.
install_python() {
  python3 -c 'import venv, ensurepip' 2>/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing python3-venv" >&2
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends python3 python3-venv >/dev/null
  else
    echo "error: Python cannot make virtual environments here: install the package python3-venv" >&2
    exit 1
  fi
}

install_python
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "error: Python 3.11 or later is needed, this is $(python3 --version)" >&2
  exit 1
}
[ -x .venv/bin/python ] || python3 -m venv .venv
[ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements/dev-constraints.txt uv
install_packages() {
  .venv/bin/uv pip install --python .venv/bin/python --editable '.[dev]' --overrides requirements/dev-overrides.txt \
    --constraints requirements/dev-constraints.txt
}
# shellcheck source=local-cluster/lib/progress.sh
source local-cluster/lib/progress.sh
run_long "installing the Python packages into .venv" 120 .venv/install.log install_packages
.venv/bin/python scripts/cluster_tools.py .venv/bin
echo "$wanted" >$stamp
