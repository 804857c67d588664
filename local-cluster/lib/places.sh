# shellcheck shell=bash disable=SC2034
# Where everything lies, which versions are used, and how to speak to the person at the terminal.
# Sourced by every script of this folder; knows nothing about clusters.

KUBERNETES_VERSION=1.35.4
ETCD_VERSION=3.6.5
COREDNS_VERSION=1.14.7
KWOK_VERSION=0.8.0
JOBSET_VERSION=0.12.0
GO_MINIMUM=1.26

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) # local-cluster/
CACHE=${FINETUNE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/finetune-operator}
LC=${FINETUNE_CLUSTER_DIR:-/var/lib/finetune-local-cluster}
BIN=$CACHE/bin/kubernetes-$KUBERNETES_VERSION,etcd-$ETCD_VERSION,coredns-$COREDNS_VERSION,kwok-$KWOK_VERSION

say() { printf '%s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

# need NAME...: every named command is on PATH, or the person is told how to get it.
need() {
  local name
  for name in "$@"; do
    command -v "$name" >/dev/null || die "'$name' is not installed: run local-cluster/install-packages.sh"
  done
}

# Distributions keep administrators' commands (iptables, nft, ip) where an ordinary PATH may not look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
