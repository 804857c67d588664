# shellcheck shell=bash
# The one node: registry, containerd, kubelet, kube-proxy, CoreDNS, volumes and pretended GPUs.
# Reads: BIN CACHE DIR HERE and the addresses that cluster.sh sets.

SOCKET=$LC/run/containerd.sock
IMAGES=$CACHE/images # outlives `down`: a second `up` pushes and pulls nothing again
PAUSE=finetune.local/pause:1

node_certificates() {
  certificate kubelet "/O=system:nodes/CN=system:node:$NODE" "DNS:$NODE,IP:$NODE_IP"
  certificate kube-proxy /CN=system:kube-proxy
  certificate coredns /CN=system:coredns
  local name
  for name in kubelet kube-proxy coredns; do kubeconfig $name $name; done
}

# The container that holds a pod's namespaces needs a program that waits and reaps.
pause_image() {
  local folder
  mkdir -p "$IMAGES"
  [ ! -e "$IMAGES/pause.tar" ] || return 0
  folder=$(mktemp -d)
  cat >"$folder/pause.c" <<'C'
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void leave(int signal) { (void)signal; _exit(0); }
static void reap(int signal) { (void)signal; while (waitpid(-1, 0, WNOHANG) > 0); }
int main(void) { signal(SIGTERM, leave); signal(SIGINT, leave); signal(SIGCHLD, reap); for (;;) pause(); }
C
  gcc -static -Os -s -o "$folder/pause" "$folder/pause.c"
  printf 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n' >"$folder/Dockerfile"
  buildah bud --quiet --isolation chroot --pull-never -t $PAUSE "$folder" >/dev/null
  rm -f "$IMAGES/pause.new"
  buildah push --quiet $PAUSE "docker-archive:$IMAGES/pause.new:$PAUSE"
  mv "$IMAGES/pause.new" "$IMAGES/pause.tar"
  rm -r "$folder"
}

start_registry() {
  mkdir -p "$IMAGES/registry"
  cat >"$DIR/etc/registry.yaml" <<REGISTRY
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $IMAGES/registry}, delete: {enabled: true}}
http: {addr: "$REGISTRY"}
REGISTRY
  # What earlier builds have left; no pod of a cluster that starts knows of it.
  docker-registry garbage-collect --delete-untagged "$DIR/etc/registry.yaml" >"$DIR/log/registry-clean.log" 2>&1 || true
  launch registry docker-registry serve "$DIR/etc/registry.yaml"
}

start_containerd() {
  mkdir -p "$DIR/etc/certs.d/_default" "$DIR/etc/cni" "$DIR/cni"
  containerd_config >"$DIR/etc/containerd.toml"
  # Every registry name is looked up in the local one and nowhere else.
  printf 'server = "http://%s"\n[host."http://%s"]\n  capabilities = ["pull", "resolve"]\n' "$REGISTRY" "$REGISTRY" >"$DIR/etc/certs.d/_default/hosts.toml"
  cat >"$DIR/etc/cni/10-pods.conflist" <<CNI
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "$POD_LINK", "isGateway": true, "isDefaultGateway": true, "ipMasq": false, "hairpinMode": true, "mtu": 1500,
   "ipam": {"type": "host-local", "dataDir": "$DIR/cni", "ranges": [[{"subnet": "$POD_SUBNET"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
CNI
  launch containerd containerd --config "$DIR/etc/containerd.toml"
}

containerd_config() {
  cat <<CONTAINERD
version = 2
root = "$IMAGES/containerd"
state = "$DIR/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "$SOCKET"
[plugins."io.containerd.internal.v1.opt"]
  path = "$DIR/run/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE"
  netns_mounts_under_state_dir = true
  # Sandboxes without CAP_SYS_RESOURCE let nobody lower an oom_score_adj; without this no pod starts there.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$DIR/etc/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    discard_unpacked_layers = false
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$DIR/etc/certs.d"
CONTAINERD
}

containers() { ctr --address "$SOCKET" --namespace k8s.io "$@"; }

start_kubelet() {
  echo "nameserver $NODE_IP" >"$DIR/etc/resolv.conf"
  kubelet_config >"$DIR/etc/kubelet.yaml"
  launch kubelet "$BIN/kubelet" --config "$DIR/etc/kubelet.yaml" --kubeconfig "$DIR/etc/kubelet.kubeconfig" \
    --root-dir "$DIR/kubelet" --cert-dir "$DIR/kubelet/pki" --hostname-override "$NODE" --node-ip "$NODE_IP" \
    --node-labels topology.kubernetes.io/zone=local --v 2
}

kubelet_config() {
  cat <<KUBELET
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
cgroupsPerQOS: true
enforceNodeAllocatable: [pods]
containerRuntimeEndpoint: unix://$SOCKET
address: $NODE_IP
healthzBindAddress: 127.0.0.1
port: 10250
readOnlyPort: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $DIR/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $DIR/pki/kubelet.crt
tlsPrivateKeyFile: $DIR/pki/kubelet.key
rotateCertificates: false
clusterDomain: cluster.local
clusterDNS: ["$NODE_IP"]
resolvConf: $DIR/etc/resolv.conf
maxPods: 200
serializeImagePulls: false
registryPullQPS: 0
eventRecordQPS: 50
failSwapOn: false
makeIPTablesUtilChains: false # it would leave its chains behind
imageGCHighThresholdPercent: 100 # containerd 1.6 does not pin the pause image: a collection would take it
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 300Mi, nodefs.available: 2Gi, imagefs.available: 2Gi, nodefs.inodesFree: "1%"}
nodeStatusReportFrequency: 10s
shutdownGracePeriod: 0s
volumePluginDir: $DIR/run/plugins
podLogsDir: $DIR/log/pods
KUBELET
}

# It watches its configuration and leaves when the file is written, be it with the same words.
start_kube_proxy() {
  ! is_running kube-proxy || return 0
  cat >"$DIR/etc/kube-proxy.yaml" <<PROXY
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $DIR/etc/kube-proxy.kubeconfig}
mode: nftables
clusterCIDR: $POD_RANGE
hostnameOverride: $NODE
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
nodePortAddresses: ["$NODE_IP/32"]
conntrack: {maxPerCore: 0}
PROXY
  launch kube-proxy "$BIN/kube-proxy" --config "$DIR/etc/kube-proxy.yaml" --v 2
}

# Names outside the cluster do not exist. That needs a server block of its own: within one block CoreDNS would ask
# "template" before "kubernetes" and no name would exist at all.
start_coredns() {
  cat >"$DIR/etc/Corefile" <<COREFILE
cluster.local:53 in-addr.arpa:53 {
  bind $NODE_IP
  errors
  ready 127.0.0.1:28181
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $DIR/etc/coredns.kubeconfig $CONTEXT
    pods insecure
    ttl 5
  }
}
.:53 {
  bind $NODE_IP
  errors
  template ANY ANY . {
    rcode NXDOMAIN
  }
}
COREFILE
  launch coredns "$BIN/coredns" -conf "$DIR/etc/Corefile"
}

start_provisioner() {
  mkdir -p "$DIR/volumes"
  launch provisioner "$BIN/provisioner" --kubeconfig "$DIR/etc/admin.kubeconfig" --folder "$DIR/volumes" --node "$NODE"
}

start_gpus() { launch gpu-fake "$BIN/gpu-fake" --count "${FINETUNE_CLUSTER_GPUS:-8}"; }

registry_answers() { curl -fsS -m 2 "http://$REGISTRY/v2/"; }
containerd_answers() { timeout 5 ctr --address "$SOCKET" version; }
kubelet_answers() { curl -fsS -m 2 http://127.0.0.1:10248/healthz; }
kube_proxy_answers() { curl -fsS -m 2 http://127.0.0.1:10256/healthz; }
coredns_answers() { curl -fsS -m 2 http://127.0.0.1:28181/ready; }
node_is_ready() { [ "$(kube get node "$NODE" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }

# end_pods: stops and removes every container, so that the kept image store holds images only.
end_pods() {
  local id
  [ -e "$DIR/etc/containerd.toml" ] || return 0
  launch_again containerd
  wait_for containerd 20 containerd_answers
  for id in $(containers tasks list --quiet); do containers tasks kill --all --signal SIGKILL "$id" 2>/dev/null || true; done
  for id in $(containers tasks list --quiet); do containers tasks delete --force "$id" >/dev/null 2>&1 || true; done
  containers containers list --quiet | xargs -r ctr --address "$SOCKET" --namespace k8s.io containers delete >/dev/null 2>&1 || true
}

# Shims live on when containerd is killed; theirs is this socket's path on the command line.
end_shims() {
  local entry arguments
  for entry in /proc/[0-9]*; do
    { mapfile -d '' -t arguments <"$entry/cmdline"; } 2>/dev/null || continue
    [[ ${arguments[0]:-} == *containerd-shim* && " ${arguments[*]} " == *" $SOCKET "* ]] || continue
    kill -KILL "${entry#/proc/}" 2>/dev/null || true
  done
}

# unmount_below FOLDER: deepest first; a busy one is detached and goes when its last user does.
unmount_below() {
  local point
  awk -v below="$1/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r point; do
    umount "$point" 2>/dev/null || umount --lazy "$point" 2>/dev/null || true
  done
}
