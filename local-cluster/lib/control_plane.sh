# shellcheck shell=bash
# etcd, API server, controller-manager and scheduler as one folder's processes. Knows no node and no network.
# Reads: BIN DIR API_ADDRESS API_PORT ETCD_PORT ETCD_PEER_PORT CONTROLLER_MANAGER_PORT SCHEDULER_PORT SERVICE_RANGE.

start_etcd() {
  launch etcd "$BIN/etcd" --name local --data-dir "$DIR/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://127.0.0.1:$ETCD_PORT" --advertise-client-urls "http://127.0.0.1:$ETCD_PORT" \
    --listen-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" --initial-advertise-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
    --initial-cluster "local=http://127.0.0.1:$ETCD_PEER_PORT"
}

# start_apiserver FLAG...: the flags are what differs with and without a node.
start_apiserver() {
  local pki=$DIR/pki
  launch apiserver "$BIN/kube-apiserver" --bind-address "$API_ADDRESS" --secure-port "$API_PORT" \
    --etcd-servers "http://127.0.0.1:$ETCD_PORT" --service-cluster-ip-range "$SERVICE_RANGE" \
    --authorization-mode Node,RBAC --allow-privileged \
    --client-ca-file "$pki/ca.crt" --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
    --kubelet-client-certificate "$pki/apiserver-kubelet-client.crt" --kubelet-client-key "$pki/apiserver-kubelet-client.key" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$pki/sa.pub" --service-account-signing-key-file "$pki/sa.key" \
    --requestheader-client-ca-file "$pki/ca.crt" --requestheader-allowed-names front-proxy-client \
    --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
    --requestheader-extra-headers-prefix X-Remote-Extra- \
    --proxy-client-cert-file "$pki/front-proxy-client.crt" --proxy-client-key-file "$pki/front-proxy-client.key" \
    --profiling=false --v 1 "$@"
}

# component_flags NAME PORT: what controller-manager and scheduler have in common.
component_flags() {
  local config=$DIR/etc/$1.kubeconfig
  printf '%s\n' --kubeconfig "$config" --authentication-kubeconfig "$config" --authorization-kubeconfig "$config" \
    --bind-address 127.0.0.1 --secure-port "$2" --leader-elect=false --profiling=false --v 1
}

# start_controller_manager FLAG...
start_controller_manager() {
  local flags pki=$DIR/pki
  mapfile -t flags < <(component_flags controller-manager "$CONTROLLER_MANAGER_PORT")
  launch controller-manager "$BIN/kube-controller-manager" "${flags[@]}" --use-service-account-credentials \
    --service-account-private-key-file "$pki/sa.key" --root-ca-file "$pki/ca.crt" --client-ca-file "$pki/ca.crt" \
    --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" --service-cluster-ip-range "$SERVICE_RANGE" "$@"
}

# start_scheduler FLAG...
start_scheduler() {
  local flags
  mapfile -t flags < <(component_flags scheduler "$SCHEDULER_PORT")
  launch scheduler "$BIN/kube-scheduler" "${flags[@]}" "$@"
}

kube() { kubectl --kubeconfig "$DIR/etc/admin.kubeconfig" "$@"; }

etcd_answers() { curl -fsS -m 2 "http://127.0.0.1:$ETCD_PORT/health"; }
apiserver_answers() { kube get --raw /readyz --request-timeout 3s; }
controller_manager_answers() { curl -fsSk -m 2 "https://127.0.0.1:$CONTROLLER_MANAGER_PORT/healthz"; }
scheduler_answers() { curl -fsSk -m 2 "https://127.0.0.1:$SCHEDULER_PORT/healthz"; }
