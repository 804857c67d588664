#!/usr/bin/env bash
# Builds Kubernetes, etcd, CoreDNS, KWOK and this folder's own two daemons from Go modules into the cache.
# Each binary is built once per version and appears under its name only when complete, so this may be
# interrupted at any point and run again.
#
#   build-binaries.sh             everything
#   build-binaries.sh NAME...     only these, for example: etcd kube-apiserver
#   build-binaries.sh --check-go  exit 0 if there is a Go that is new enough
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/places.sh"
source "$HERE/lib/progress.sh"

# The control plane comes first: the tests that need nothing else can start while the rest is built.
ALL=(etcd kube-apiserver kube-controller-manager kube-scheduler kwok kubelet kube-proxy gpu-fake provisioner coredns)
# Seconds on two cores, in that order: each stands on what those before it have compiled.
declare -A ABOUT=(
  [etcd]=60 [kube-apiserver]=250 [kube-controller-manager]=50 [kube-scheduler]=5 [kwok]=80 [kubelet]=20 [kube-proxy]=15 [coredns]=90
)

# A Go that is too old would try to fetch another; the version here is found or refused instead.
export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false"

find_go() {
  local candidate
  for candidate in go /usr/local/go/bin/go /usr/local/bin/go "$CACHE/go/bin/go"; do
    if command -v "$candidate" >/dev/null && is_new_enough "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

is_new_enough() {
  local have
  have=$("$1" env GOVERSION) || return 1
  [ "$(printf '%s\n' "$GO_MINIMUM" "${have#go}" | sort -V | head -1)" = "$GO_MINIMUM" ]
}

kubernetes_ldflags() {
  local package=k8s.io/component-base/version
  printf -- '-s -w -X %s.gitVersion=v%s -X %s.gitMajor=%s -X %s.gitMinor=%s' \
    $package "$KUBERNETES_VERSION" $package "${KUBERNETES_VERSION%%.*}" $package "$(cut -d. -f2 <<<"$KUBERNETES_VERSION")"
}

# compile NAME OUTPUT: leaves the binary of that name at OUTPUT.
compile() {
  local name=$1 output=$2
  case $name in
    etcd | coredns) "$GO" -C "$HERE/go/$name" build -ldflags "-s -w" -o "$output" . ;;
    gpu-fake | provisioner) "$GO" -C "$HERE/go/kubernetes" build -ldflags "-s -w" -o "$output" "./cmd/$name" ;;
    kwok) compile_kwok "$output" ;;
    "jobset-$JOBSET_VERSION") compile_jobset "$output" ;;
    kube*) "$GO" -C "$HERE/go/kubernetes" build -ldflags "$(kubernetes_ldflags)" -o "$output" "k8s.io/kubernetes/cmd/$name" ;;
    *) die "unknown binary '$name'; known: ${ALL[*]}" ;;
  esac
}

# KWOK's own module has no replaces, so `go install` builds it as released. Its stages (what simulated
# nodes and pods do) come from the same module.
compile_kwok() {
  local folder
  folder=$(dirname "$1")/kwok.d
  rm -rf "$folder"
  mkdir -p "$folder"
  GOBIN=$folder "$GO" install -ldflags "-s -w" "sigs.k8s.io/kwok/cmd/kwok@v$KWOK_VERSION"
  rm -rf "$BIN/kwok-stages"
  cp -r --no-preserve=mode "$("$GO" env GOMODCACHE)/sigs.k8s.io/kwok@v$KWOK_VERSION/kustomize/stage" "$BIN/kwok-stages"
  mv "$folder/kwok" "$1"
  rmdir "$folder"
}

# The two daemons of our own have no version: they are built again when their source is newer.
is_built() {
  local binary=$BIN/$1 source=$HERE/go/kubernetes/cmd/$1
  [ -x "$binary" ] || return 1
  [ ! -d "$source" ] || [ -z "$(find "$source" -newer "$binary" -type f -print -quit)" ]
}

# JobSet is what benchmarks/operator_scale.py compares with; nothing else needs it, so it is built when it is asked for by name. Its CRD
# and its webhooks come from the same module.
compile_jobset() {
  local module
  "$GO" -C "$HERE/go/jobset" build -ldflags "-s -w" -o "$1" sigs.k8s.io/jobset
  module=$("$GO" -C "$HERE/go/jobset" list -m -f '{{.Dir}}' sigs.k8s.io/jobset)
  rm -rf "$BIN/jobset-config"
  cp -r --no-preserve=mode "$module/config/components" "$BIN/jobset-config"
}

all_built() {
  local name
  for name; do is_built "$name" || return 1; done
}

build() {
  local name=$1 place=$2 work=$BIN/.building-$1 log=$BIN/.building-$1.log
  is_built "$name" && return
  run_long "building $name ($place)" "${ABOUT[$name]:-5}" "$log" compile "$name" "$work"
  mv "$work" "$BIN/$name"
  rm -f "$log"
}

main() {
  local wanted=("$@") name place=0
  [ $# -gt 0 ] || wanted=("${ALL[@]}")
  ! all_built "${wanted[@]}" || return 0
  mkdir -p "$BIN"
  # One build at a time: a second caller waits here and then finds everything done.
  exec 9>"$BIN/.lock"
  flock 9
  ! all_built "${wanted[@]}" || return 0
  GO=$(find_go) || die "no Go $GO_MINIMUM or newer: run local-cluster/install-packages.sh --go"
  say "building Kubernetes from source, once: about 10 minutes on two cores, kept in $BIN"
  for name in "${wanted[@]}"; do build "$name" "$((++place)) of ${#wanted[@]}"; done
}

if [ "${1:-}" = --check-go ]; then
  find_go >/dev/null
else
  main "$@"
fi
