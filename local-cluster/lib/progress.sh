# shellcheck shell=bash
# Says what a long command is doing, about how long that takes, and how long it has taken.

# duration SECONDS: "45 s", "4 min".
duration() {
  if [ "$1" -lt 90 ]; then echo "$1 s"; else echo "$((($1 + 30) / 60)) min"; fi
}

# run_long WHAT ABOUT LOG COMMAND...: runs the command with its output in LOG. ABOUT is how many seconds it takes on two cores.
# On a terminal one line counts the seconds; elsewhere there is a line at the beginning, one every half minute and one at the end.
# When the command fails, the end of LOG is shown and its exit code returned: let `set -e` end the script. (Behind `||` bash would
# not stop inside COMMAND, where that is a function.)
run_long() {
  local what=$1 about=$2 log=$3 began=$SECONDS said=0 code=0 child
  shift 3
  "$@" >"$log" 2>&1 &
  child=$!
  [ -t 2 ] || echo "$what: takes about $(duration "$about")" >&2
  while kill -0 "$child" 2>/dev/null; do
    if [ -t 2 ]; then
      printf '\r\033[K%s: %d s of about %s' "$what" $((SECONDS - began)) "$(duration "$about")" >&2
    elif [ $((SECONDS - began - said)) -ge 30 ]; then
      said=$((SECONDS - began))
      echo "  $what: $said s so far" >&2
    fi
    sleep 0.5
  done
  wait "$child" || code=$?
  [ ! -t 2 ] || printf '\r\033[K' >&2
  if [ $code = 0 ]; then
    echo "$what: done in $((SECONDS - began)) s" >&2
  else
    tail -30 "$log" >&2
    echo "error: $what failed after $((SECONDS - began)) s; its log: $log" >&2
  fi
  return $code
}
