# shellcheck shell=bash
# Starts, finds and ends background processes of one state folder, $DIR.
# Beside the pid lies the exact command line; a pid counts as ours only if /proc shows that same command line,
# so a stale pid file can never hit somebody else's process.

pid_of() { cat "$DIR/run/$1.pid" 2>/dev/null; }

# A dead process may stay a zombie for a while; its command line is empty then, so this says no.
is_running() {
  local pid have wanted
  pid=$(pid_of "$1") && [ -n "$pid" ] || return 1
  { mapfile -d '' -t have <"/proc/$pid/cmdline"; } 2>/dev/null || return 1
  mapfile -d '' -t wanted <"$DIR/run/$1.command"
  [ "${#have[@]}" -gt 0 ] && [ "${have[*]}" = "${wanted[*]}" ]
}

# launch NAME COMMAND...: starts it unless it runs. The child itself writes the pid, so that an interruption
# of this script leaves no process without a pid file. It keeps none of this script's open files: a lock that the caller holds
# would be held for as long as the daemon runs.
launch() {
  local name=$1
  shift
  ! is_running "$name" || return 0
  mkdir -p "$DIR/run" "$DIR/log"
  rm -f "$DIR/run/$name.pid"
  printf '%s\0' "$@" >"$DIR/run/$name.command"
  # shellcheck disable=SC2016  # expanded by the child
  setsid nohup bash -c 'echo $$ >"$0"; for f in /proc/$$/fd/*; do f=${f##*/}; [ "$f" -le 2 ] || eval "exec $f>&-"; done; exec "$@"' \
    "$DIR/run/$name.pid" "$@" >>"$DIR/log/$name.log" 2>&1 </dev/null &
  local tries
  for tries in {1..100}; do
    is_running "$name" && return
    sleep 0.02
  done
  die "$name did not start ($tries tries): see $DIR/log/$name.log"
}

# launch_again NAME: starts it as it was started last.
launch_again() {
  local command
  [ -f "$DIR/run/$1.command" ] || die "'$1' was never started here; known: $(known_daemons)"
  mapfile -d '' -t command <"$DIR/run/$1.command"
  launch "$1" "${command[@]}"
}

known_daemons() {
  local file
  for file in "$DIR"/run/*.command; do
    [ -e "$file" ] && basename "$file" .command
  done | tr '\n' ' '
}

# has_ended PID: no thread of it is left. Its command line is gone earlier than its listening sockets are.
has_ended() { ! grep -qs '^State:.[^ZX]' "/proc/$1/task/"*/status; }

# end NAME [SIGNAL]: signals it, waits for its end, kills it after ten seconds.
end() {
  local name=$1 pid tries
  if is_running "$name"; then
    pid=$(pid_of "$name")
    kill "-${2:-TERM}" "$pid"
    for tries in {1..200}; do
      ! has_ended "$pid" || break
      [ "$tries" != 200 ] || kill -KILL "$pid"
      sleep 0.05
    done
  fi
  rm -f "$DIR/run/$name.pid"
}

# wait_for WHAT SECONDS COMMAND...: polls until it succeeds.
wait_for() {
  local what=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || die "$what is not ready in time; logs are in $DIR/log"
    sleep 0.1
  done
}

# wait_for_daemon NAME SECONDS COMMAND...: as above, and gives up at once when the daemon has died.
wait_for_daemon() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    is_running "$name" || {
      tail -5 "$DIR/log/$name.log" >&2
      die "$name ended; its log is $DIR/log/$name.log"
    }
    [ $SECONDS -lt $deadline ] || die "$name is not ready in time; its log is $DIR/log/$name.log"
    sleep 0.1
  done
}

# status_row NAME [HEALTH-COMMAND...]: one line of the table that `status` prints.
status_row() {
  local name=$1 pid=- health=stopped
  shift
  if is_running "$name"; then
    pid=$(pid_of "$name")
    health=running
    [ $# = 0 ] || if "$@" >/dev/null 2>&1; then health=healthy; else health=unhealthy; fi
  fi
  printf '%-20s %-8s %s\n' "$name" "$pid" "$health"
}
