#!/usr/bin/env bash
# A real one-node Kubernetes on a bare Linux machine, for trying and testing. Needs root.
#
#   cluster.sh up             start it, or whatever of it is not running; prints the kubeconfig's path
#   cluster.sh down           end and remove everything but the images
#   cluster.sh down --purge   the images too
#   cluster.sh status         one line per component
#   cluster.sh kubeconfig     print the path of the administrator's kubeconfig
#   cluster.sh kwok up N      add N simulated nodes (tainted kwok.x-k8s.io/node=fake:NoSchedule)
#   cluster.sh kwok down      remove them
#   cluster.sh kill NAME      kill -9 one component, for tests of faults; NAME as in `status`
#   cluster.sh start NAME     start again what was killed, and wait until it answers
#   cluster.sh restart NAME   both
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/lib/places.sh"
source "$HERE/lib/daemon.sh"
source "$HERE/lib/pki.sh"
source "$HERE/lib/control_plane.sh"
source "$HERE/lib/network.sh"
source "$HERE/lib/cgroup.sh"
source "$HERE/lib/node.sh"
source "$HERE/lib/kwok.sh"

# What the parts above read.
DIR=$LC
CONTEXT=finetune-local
NODE=node0
NODE_IP=10.97.0.1
API_ADDRESS=$NODE_IP
API_PORT=26443
SERVICE_RANGE=10.96.0.0/16
SERVICE_IP=10.96.0.1
POD_RANGE=10.244.0.0/16
POD_SUBNET=10.244.0.0/24
REGISTRY=127.0.0.1:5000
ETCD_PORT=32379 ETCD_PEER_PORT=32380 CONTROLLER_MANAGER_PORT=20257 SCHEDULER_PORT=20259 KWOK_PORT=20260

# In the order in which they start.
COMPONENTS=(etcd registry containerd apiserver controller-manager scheduler kubelet kube-proxy coredns provisioner gpu-fake kwok)
# Folders outside ours that the kubelet, containerd and the CNI plugins make: `down` removes those that `up` did not find.
FOREIGN=(/var/lib/kubelet /var/log/containers /var/lib/cni /run/containerd /opt/containerd /opt/cni)

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}

answers() {
  case $1 in
    etcd) etcd_answers ;;
    registry) registry_answers ;;
    containerd) containerd_answers ;;
    apiserver) apiserver_answers ;;
    controller-manager) controller_manager_answers ;;
    scheduler) scheduler_answers ;;
    kubelet) kubelet_answers ;;
    kube-proxy) kube_proxy_answers ;;
    coredns) coredns_answers ;;
    *) is_running "$1" ;;
  esac
}

await() { wait_for_daemon "$1" 60 answers "$1"; }

is_zombie() { grep -q '^State:.Z' "$1/status" 2>/dev/null; }

# Two kubelets, or ours beside an engine that rewrites the same rules, would fight over the machine.
refuse_company() {
  local entry name
  for entry in /proc/[0-9]*; do
    { name=$(<"$entry/comm"); } 2>/dev/null || continue
    case $name in
      kubelet) ! is_running kubelet || [ "${entry#/proc/}" != "$(pid_of kubelet)" ] || continue ;;
      k3s | k3s-server | dockerd | rke2 | microk8s) ;;
      *) continue ;;
    esac
    ! is_zombie "$entry" || continue
    die "$name runs here (pid ${entry#/proc/}): stop it first, this cluster does not share a machine"
  done
}

remember_foreign_folders() {
  [ ! -e "$DIR/run/absent.before" ] || return 0
  local folder
  for folder in "${FOREIGN[@]}"; do [ -e "$folder" ] || echo "$folder"; done >"$DIR/run/absent.new"
  mv "$DIR/run/absent.new" "$DIR/run/absent.before"
}

up() {
  local began=$SECONDS
  need containerd ctr runc buildah docker-registry nft ip conntrack openssl curl kubectl gcc mkfs.ext4
  "$HERE/build-binaries.sh"
  mkdir -p "$DIR/run" "$DIR/log" "$DIR/etc" "$IMAGES"
  remember_foreign_folders
  control_plane_certificates
  node_certificates
  pause_image
  network_up # with the guard: before anything that could start a pod
  cgroup_up
  start_etcd
  start_registry
  start_containerd
  await etcd
  start_apiserver --enable-admission-plugins NodeRestriction --kubelet-certificate-authority "$DIR/pki/ca.crt" \
    --kubelet-preferred-address-types InternalIP
  await containerd
  containers images import "$IMAGES/pause.tar" >/dev/null
  await apiserver
  start_controller_manager --concurrent-gc-syncs 20
  # shellcheck disable=SC2119  # its flags are for benchmarks
  start_scheduler
  kube apply -f "$HERE/cluster.yaml" >/dev/null
  start_kubelet
  start_kube_proxy
  start_coredns
  start_provisioner
  await kubelet
  start_gpus # its folder is made by the kubelet
  for name in registry kube-proxy coredns controller-manager scheduler; do await $name; done
  wait_for "node $NODE" 60 node_is_ready
  wait_for "the default service account" 60 kube get serviceaccount default
  say "the cluster is up after $((SECONDS - began)) s"
  kubeconfig_path
}

# The controller-manager goes first, else Jobs replace the pods that end.
down() {
  local name folder
  mkdir -p "$DIR/run"
  for name in kwok controller-manager scheduler kubelet; do end $name; done
  end_pods
  for name in gpu-fake provisioner kube-proxy coredns registry; do end $name; done
  for name in apiserver etcd; do end $name KILL; done
  end containerd
  end_shims
  unmount_below "$DIR"
  unmount_below "$IMAGES"
  unmount_below /var/lib/kubelet/pods
  cgroup_down
  network_down
  while read -r folder; do rm -rf --one-file-system "$folder"; done < <(cat "$DIR/run/absent.before" 2>/dev/null)
  rm -rf --one-file-system "${DIR:?}"/{run,log,pki,etc,etcd,kubelet,cni,volumes}
  [ "${1:-}" != --purge ] || rm -rf --one-file-system "$IMAGES"
}

status() {
  local name
  [ -d "$DIR/pki" ] || die "no cluster here; start one with: $0 up"
  printf '%-20s %-8s %s\n' COMPONENT PID HEALTH
  for name in "${COMPONENTS[@]}"; do
    [ "$name" = kwok ] && [ ! -e "$DIR/run/kwok.command" ] || status_row "$name" answers "$name"
  done
  printf '%-20s %-8s %s\n' "node $NODE" - "$(if node_is_ready 2>/dev/null; then echo Ready; else echo NotReady; fi)"
  printf '%-20s %-8s %s\n' guard - "$(if nft list table inet finetune_guard >/dev/null 2>&1; then echo up; else echo MISSING; fi)"
}

kubeconfig_path() { echo "$DIR/etc/admin.kubeconfig"; }

kwok() {
  case ${1:-} in
    up)
      start_kwok --manage-all-nodes=false --manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake
      kwok_nodes "${2:?how many nodes?}" '[{key: kwok.x-k8s.io/node, value: fake, effect: NoSchedule}]' | kube apply -f - >/dev/null
      wait_for_daemon kwok 30 kube wait --for=condition=Ready node --selector type=kwok --timeout 2s
      ;;
    down)
      kube delete node --selector type=kwok --ignore-not-found
      end kwok
      rm -f "$DIR/run/kwok.command"
      ;;
    *) usage ;;
  esac
}

# one_at_a_time: a second caller waits until the first has done.
one_at_a_time() {
  [ "$(id -u)" = 0 ] || die "must be root"
  mkdir -p "$DIR"
  exec 9>"$DIR/.lock"
  flock 9
}

known() { [[ " ${COMPONENTS[*]} " == *" ${1:-} "* ]] || die "unknown component '${1:-}'; known: ${COMPONENTS[*]}"; }

case ${1:-} in
  up)
    one_at_a_time
    refuse_company
    up
    ;;
  down)
    one_at_a_time
    down "${2:-}"
    ;;
  status) status ;;
  kubeconfig) kubeconfig_path ;;
  kwok)
    one_at_a_time
    kwok "${@:2}"
    ;;
  kill | start | restart)
    known "${2:-}"
    one_at_a_time
    [ "$1" = start ] || end "$2" KILL
    [ "$1" = kill ] || { launch_again "$2" && await "$2"; }
    ;;
  *) usage ;;
esac
