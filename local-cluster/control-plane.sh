#!/usr/bin/env bash
# A Kubernetes control plane for tests: etcd, API server and controller-manager, and with --kwok also a scheduler
# and simulated nodes. All on 127.0.0.1, no root, no kubelet, no network rules; several can run at once.
#
#   control-plane.sh up [--dir D] [--port-base P] [--kwok N] [--unthrottled]
#                                           start; N simulated nodes whose pods run nothing; for benchmarks, controllers that do not
#                                           hold their own requests back
#   control-plane.sh down [--dir D]         end exactly what `up` started, and remove D
#   control-plane.sh status [--dir D]       one line per component
#   control-plane.sh kubeconfig [--dir D]   print the path of the administrator's kubeconfig
#   control-plane.sh kill NAME [--dir D]    kill -9, for tests of faults; NAME as in `status`
#   control-plane.sh start NAME [--dir D]   start again what was killed, and wait until it answers
#   control-plane.sh restart NAME [--dir D] both
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/lib/places.sh"
source "$HERE/lib/daemon.sh"
source "$HERE/lib/pki.sh"
source "$HERE/lib/control_plane.sh"
source "$HERE/lib/kwok.sh"

# What the parts above read.
CONTEXT=finetune-control-plane
API_ADDRESS=127.0.0.1
SERVICE_RANGE=10.96.0.0/16
SERVICE_IP=10.96.0.1
KWOK_NODES=0
PORT_BASE=
CONTROLLER_FLAGS=() SCHEDULER_FLAGS=() KWOK_PARALLELISM=

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}

parse() {
  COMMAND=${1:-} NAME=
  [ $# = 0 ] || shift
  while [ $# -gt 0 ]; do
    case $1 in
      --dir) DIR=${2:?--dir needs a folder} && shift 2 ;;
      --port-base) PORT_BASE=${2:?--port-base needs a number} && shift 2 ;;
      --kwok) KWOK_NODES=${2:?--kwok needs a number of nodes} && shift 2 ;;
      --unthrottled) unthrottle && shift ;;
      -*) usage ;;
      *) NAME=$1 && shift ;;
    esac
  done
}

unthrottle() {
  SCHEDULER_FLAGS=(--kube-api-qps 2000 --kube-api-burst 4000)
  CONTROLLER_FLAGS=("${SCHEDULER_FLAGS[@]}" --concurrent-job-syncs 50)
  KWOK_PARALLELISM=32
}

default_folder() { if [ "$(id -u)" = 0 ]; then echo "$LC/control-plane"; else echo "$CACHE/control-plane"; fi; }

# The folder remembers its ports, so that `start` and a second `up` find the same.
choose_ports() {
  mkdir -p "$DIR/run"
  [ -n "$PORT_BASE" ] || PORT_BASE=$(cat "$DIR/run/port-base" 2>/dev/null || free_port_base)
  echo "$PORT_BASE" >"$DIR/run/port-base"
  ETCD_PORT=$PORT_BASE ETCD_PEER_PORT=$((PORT_BASE + 1)) API_PORT=$((PORT_BASE + 2))
  CONTROLLER_MANAGER_PORT=$((PORT_BASE + 3)) SCHEDULER_PORT=$((PORT_BASE + 4)) KWOK_PORT=$((PORT_BASE + 5))
}

# free_port_base: the first of six ports in a row that nobody listens on, below the range that the kernel hands out.
free_port_base() {
  local base port
  for base in $(seq $((21000 + RANDOM % 500 * 10)) 10 31000); do
    for port in $(seq "$base" $((base + 5))); do
      ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || continue 2
    done
    echo "$base"
    return
  done
  die "no six free ports in a row below 31000"
}

up() {
  need curl openssl kubectl
  "$HERE/build-binaries.sh" etcd kube-apiserver kube-controller-manager
  [ "$KWOK_NODES" = 0 ] || "$HERE/build-binaries.sh" kube-scheduler kwok
  choose_ports
  control_plane_certificates
  start_etcd
  wait_for_daemon etcd 20 etcd_answers
  # Without a node there is nobody whom the "kubernetes" Service could point at.
  start_apiserver --endpoint-reconciler-type none
  wait_for_daemon apiserver 60 apiserver_answers
  start_controller_manager --concurrent-gc-syncs 10 "${CONTROLLER_FLAGS[@]}"
  [ "$KWOK_NODES" = 0 ] || up_kwok
  wait_for_daemon controller-manager 30 controller_manager_answers
  wait_for "the default service account" 30 kube get serviceaccount default
  kubeconfig_path
}

up_kwok() {
  start_scheduler "${SCHEDULER_FLAGS[@]}"
  start_kwok --manage-all-nodes
  kwok_nodes "$KWOK_NODES" | kube apply -f - >/dev/null
  wait_for_daemon kwok 90 kube wait --for=condition=Ready node --all --timeout 10s
}

# The controller-manager goes first: nothing makes new objects while the rest ends.
down() {
  local name
  for name in kwok scheduler controller-manager apiserver etcd; do end $name KILL; done
  rm -rf "${DIR:?}"/{etcd,run,log,pki,etc}
  rmdir "$DIR" 2>/dev/null || true
}

status() {
  [ -f "$DIR/run/port-base" ] || die "nothing was started in $DIR"
  choose_ports
  printf '%-20s %-8s %s\n' COMPONENT PID HEALTH
  status_row etcd etcd_answers
  status_row apiserver apiserver_answers
  status_row controller-manager controller_manager_answers
  [ ! -e "$DIR/run/kwok.command" ] || { status_row scheduler scheduler_answers && status_row kwok; }
}

kubeconfig_path() { echo "$DIR/etc/admin.kubeconfig"; }

start_one() {
  choose_ports
  launch_again "$NAME"
  case $NAME in
    etcd) wait_for_daemon etcd 20 etcd_answers ;;
    apiserver) wait_for_daemon apiserver 60 apiserver_answers ;;
    controller-manager) wait_for_daemon controller-manager 30 controller_manager_answers ;;
    scheduler) wait_for_daemon scheduler 30 scheduler_answers ;;
  esac
}

parse "$@"
DIR=$(realpath -m "${DIR:-$(default_folder)}")
case $COMMAND in
  up | down | status) "$COMMAND" ;;
  kubeconfig) kubeconfig_path ;;
  kill | start | restart)
    [ -n "$NAME" ] || usage
    [ "$COMMAND" = start ] || end "$NAME" KILL
    [ "$COMMAND" = kill ] || start_one
    ;;
  *) usage ;;
esac
