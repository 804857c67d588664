# shellcheck shell=bash
# The one branch of the cgroup tree below which all pods run, on cgroup v1 (one tree per controller) and v2.

CGROUP=finetune # the kubelet's cgroupRoot is /finetune

cgroup_is_v2() { [ -e /sys/fs/cgroup/cgroup.controllers ]; }

cgroup_up() {
  if cgroup_is_v2; then cgroup_up_v2; else cgroup_up_v1; fi
}

cgroup_up_v1() {
  local tree
  while read -r tree; do
    mkdir -p "$tree/$CGROUP"
    # A new cpuset is empty, and nothing can run in an empty one.
    [ ! -e "$tree/cpuset.cpus" ] || cat "$tree/cpuset.cpus" >"$tree/$CGROUP/cpuset.cpus"
    [ ! -e "$tree/cpuset.mems" ] || cat "$tree/cpuset.mems" >"$tree/$CGROUP/cpuset.mems"
  done < <(awk '$3 == "cgroup" { print $2 }' /proc/mounts)
}

cgroup_up_v2() {
  local controller controllers
  read -ra controllers </sys/fs/cgroup/cgroup.controllers
  for controller in "${controllers[@]}"; do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control ||
      die "cannot hand the cgroup controller '$controller' down: /sys/fs/cgroup holds processes itself (a container without a cgroup of its own?)"
  done
  mkdir -p /sys/fs/cgroup/$CGROUP
}

cgroup_folders() { find /sys/fs/cgroup -maxdepth 2 -name $CGROUP -type d 2>/dev/null; }

# cgroup_down: ends every process below the branch, which are the pods' and nobody else's, and removes it.
cgroup_down() {
  local folder tries
  for folder in $(cgroup_folders); do
    for tries in {1..50}; do
      find "$folder" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u | xargs -r kill -KILL 2>/dev/null || true
      find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
      [ -d "$folder" ] || break
      [ "$tries" != 50 ] || say "warning: $folder is still in use"
      sleep 0.1
    done
  done
}
