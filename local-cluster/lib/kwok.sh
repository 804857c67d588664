# shellcheck shell=bash
# Simulated nodes by KWOK: they are Ready and their pods pass through their phases, and nothing runs.
# Reads: BIN DIR HERE KWOK_PORT, and KWOK_PARALLELISM: how many nodes and pods it moves on at a time.

# start_kwok FLAG...: the flag says which nodes are KWOK's.
start_kwok() {
  cat "$BIN"/kwok-stages/node/fast/node-initialize.yaml \
    <(echo ---) "$BIN"/kwok-stages/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml \
    <(echo ---) "$HERE"/kwok-stages.yaml <(kwok_parallelism "${KWOK_PARALLELISM:-}") >"$DIR/etc/kwok.yaml"
  launch kwok "$BIN/kwok" --kubeconfig "$DIR/etc/admin.kubeconfig" --config "$DIR/etc/kwok.yaml" \
    --cidr 10.245.0.0/16 --node-ip 127.0.0.1 --node-port "$KWOK_PORT" --server-address "127.0.0.1:$KWOK_PORT" \
    --node-lease-duration-seconds 40 "$@"
}

kwok_parallelism() {
  [ -n "$1" ] || return 0
  printf -- '---\napiVersion: config.kwok.x-k8s.io/v1alpha1\nkind: KwokConfiguration\noptions:\n'
  printf '  %s: %s\n' podPlayStageParallelism "$1" nodePlayStageParallelism "$1" nodeLeaseParallelism "$1"
}

# kwok_nodes N [TAINTS]: the objects of N nodes with eight GPUs each.
kwok_nodes() {
  local i resources='{cpu: "64", memory: 512Gi, pods: "1000", nvidia.com/gpu: "8", ephemeral-storage: 1Ti}'
  for ((i = 0; i < $1; i++)); do
    cat <<NODE
apiVersion: v1
kind: Node
metadata:
  name: kwok-$i
  annotations: {kwok.x-k8s.io/node: fake, node.alpha.kubernetes.io/ttl: "0"}
  labels: {type: kwok, kubernetes.io/hostname: kwok-$i, kubernetes.io/os: linux, topology.kubernetes.io/zone: zone-$((i % 2))}
spec: {taints: ${2:-[]}}
status: {capacity: $resources, allocatable: $resources}
---
NODE
  done
}
