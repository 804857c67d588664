# shellcheck shell=bash
# The machine's side of the cluster network, and the guard that keeps pod and service traffic on the machine.
# Reads: DIR NODE_IP SERVICE_RANGE POD_RANGE API_PORT. Every step may be repeated.

SERVICE_LINK=lcsvc0 # carries the node's address; a bridge without ports, since not every kernel has dummy links
POD_LINK=cni0       # made by the CNI plugin with the first pod

network_up() {
  remember_network
  ip link show $SERVICE_LINK >/dev/null 2>&1 || ip link add $SERVICE_LINK type bridge
  ip addr replace "$NODE_IP/32" dev $SERVICE_LINK
  ip link set $SERVICE_LINK up
  # A service address that no rule takes, and a pod address before there is a pod, end here.
  ip route replace "$SERVICE_RANGE" dev $SERVICE_LINK src "$NODE_IP"
  ip route replace blackhole "$POD_RANGE" metric 4096
  guard_up
  echo 1 >/proc/sys/net/ipv4/ip_forward
}

# What `down` must restore is written once, by the first `up` of a life.
remember_network() {
  [ ! -e "$DIR/run/nft.before" ] || return 0
  cat /proc/sys/net/ipv4/ip_forward >"$DIR/run/ip_forward.before"
  nft list tables >"$DIR/run/nft.before.new"
  mv "$DIR/run/nft.before.new" "$DIR/run/nft.before"
}

# Pods reach each other, services, the API server and the name server; nothing else of this machine and nothing
# outside of it. One transaction, so there is no moment without a guard when it is renewed.
guard_up() {
  nft -f - <<GUARD
table inet finetune_guard
delete table inet finetune_guard
table inet finetune_guard {
  chain forward {
    type filter hook forward priority -10; policy accept;
    iifname "$POD_LINK" oifname != { "$POD_LINK", "$SERVICE_LINK" } counter reject with icmpx type admin-prohibited
    iifname != { "$POD_LINK", "lo" } oifname "$POD_LINK" ct state new counter drop
  }
  chain input {
    type filter hook input priority -10; policy accept;
    iifname "$POD_LINK" ct state established,related accept
    iifname "$POD_LINK" ip daddr $NODE_IP meta l4proto { tcp, udp } th dport { 53, $API_PORT } accept
    iifname "$POD_LINK" meta l4proto { icmp, ipv6-icmp } accept
    iifname "$POD_LINK" counter reject with icmpx type admin-prohibited
  }
  chain output {
    type filter hook output priority 10; policy accept;
    oifname != { "$POD_LINK", "lo", "$SERVICE_LINK" } ip daddr { $SERVICE_RANGE, $POD_RANGE, $NODE_IP } counter drop
  }
  chain postrouting {
    type filter hook postrouting priority 300; policy accept;
    oifname != { "$POD_LINK", "lo", "$SERVICE_LINK" } ip saddr { $POD_RANGE, $NODE_IP } counter drop
  }
}
GUARD
}

# The guard goes last: traffic of a pod that outlived everything else is still held.
network_down() {
  local link table
  for link in $POD_LINK $SERVICE_LINK; do ip link delete "$link" 2>/dev/null || true; done
  ip route delete blackhole "$POD_RANGE" metric 4096 2>/dev/null || true
  conntrack -D -s "${POD_RANGE}" >/dev/null 2>&1 || true
  if [ -e "$DIR/run/nft.before" ]; then
    cat "$DIR/run/ip_forward.before" >/proc/sys/net/ipv4/ip_forward
  fi
  portmap_chains_down
  for table in "ip kube-proxy" "ip6 kube-proxy" "inet finetune_guard"; do
    # shellcheck disable=SC2086  # family and name are two words
    nft delete table $table 2>/dev/null || true
  done
}

# The portmap plugin leaves its chains in iptables' nat table, and those of pods that ended without it.
portmap_chains_down() {
  local chains chain rule
  chains=$(iptables-save -t nat 2>/dev/null | sed -n 's/^:\(CNI-[^ ]*\) .*/\1/p')
  [ -n "$chains" ] || return 0
  iptables-save -t nat | sed -n '/^-A \(PREROUTING\|OUTPUT\|POSTROUTING\) .*CNI-HOSTPORT/s/^-A/-D/p' | while read -r rule; do
    xargs iptables -t nat <<<"$rule"
  done
  for chain in $chains; do iptables -t nat -F "$chain"; done
  for chain in $chains; do iptables -t nat -X "$chain"; done
  # The table itself, if it is new and nobody else has put a rule into it since.
  if ! grep -qx 'table ip nat' "$DIR/run/nft.before" 2>/dev/null && ! iptables-save -t nat | grep -q '^-A'; then
    nft delete table ip nat 2>/dev/null || true
  fi
}
