#!/usr/bin/env bash
# Shows that `cluster.sh down` leaves nothing behind: a picture of the machine before `up` and after `down`, compared.
#
#   check-clean.sh picture >before      then: cluster.sh up, use it, cluster.sh down
#   check-clean.sh compare before       prints what differs and exits 1, or exits 0
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/places.sh"

section() { printf '== %s\n' "$1"; }

# Names and numbers that change by themselves (counters, pids, times) are left out.
picture() {
  section processes
  our_processes
  section mounts
  # buildah mounts while it works, which is not the cluster's doing.
  awk '{ print $5 }' /proc/self/mountinfo | grep -v /containers/storage/ | sort
  section "loop devices"
  losetup --noheadings --output BACK-FILE --all 2>/dev/null | sort
  section interfaces
  ip -o link | awk -F': ' '{ print $2 }' | sort
  section routes
  ip route show table all | sed 's/ expires [^ ]*//' | sort
  section "network namespaces"
  ip netns list
  section nftables
  nft list ruleset | sed -E 's/counter packets [0-9]+ bytes [0-9]+/counter/' | grep -v '^#' || true
  section iptables
  iptables-save 2>/dev/null | grep -v '^#' | sed -E 's/ \[[0-9:]+\]$//' || true
  section cgroups
  find /sys/fs/cgroup -maxdepth 2 -type d | sort
  section "kernel settings"
  cat /proc/sys/net/ipv4/ip_forward
  section folders
  ls -d /var/lib/kubelet /var/log/containers /var/lib/cni /run/containerd /opt/containerd /opt/cni "$LC"/{run,log,pki,etc,etcd,kubelet,cni,volumes} 2>/dev/null || true
}

# Everything that runs from our binaries, or names the cluster's folder on its command line.
our_processes() {
  local entry arguments
  for entry in /proc/[0-9]*; do
    { mapfile -d '' -t arguments <"$entry/cmdline"; } 2>/dev/null || continue
    case "${arguments[*]:-}" in
      "$LC"/control-plane* | *" $LC/control-plane"*) ;; # a control plane for tests is another thing
      "$BIN"/*"$LC"/* | containerd*"$LC"/* | *containerd-shim*"$LC"/* | docker-registry*"$LC"/*) basename "${arguments[0]}" ;;
    esac
  done | sort
}

case ${1:-} in
  picture) picture ;;
  compare) diff --unified=0 --label before --label now "${2:?which picture?}" <(picture) ;;
  *)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
