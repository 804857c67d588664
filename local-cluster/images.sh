#!/usr/bin/env bash
# Builds images without Docker or a hub and pushes them to the cluster's registry. Needs root.
#
#   images.sh base                 make python:3.11-slim-bookworm from Debian packages, once (--again: anew)
#   images.sh build NAME[:TAG] DOCKERFILE CONTEXT [BUILDAH-ARGUMENT...]
#                                  build and push; prints REGISTRY/NAME:TAG@DIGEST
#   images.sh list                 what the local registry holds
#
# FINETUNE_REGISTRY (127.0.0.1:5000) is where images go; another one is spoken to with TLS and buildah's login.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/lib/places.sh"
source "$HERE/lib/progress.sh"

REGISTRY=${FINETUNE_REGISTRY:-127.0.0.1:5000}
BASE=docker.io/library/python:3.11-slim-bookworm
CERTIFICATES=/etc/ssl/certs/ca-certificates.crt

# Debian's own Python stands in for the image of that name, so that ordinary Dockerfiles build unchanged.
base() {
  need debootstrap buildah
  if [ "${1:-}" = --again ] || ! buildah inspect --type image $BASE >/dev/null 2>&1; then
    make_base
  fi
  # The cluster looks every name up in its registry, so there pods may name this image as it is.
  if is_local && curl -fsS "http://$REGISTRY/v2/" >/dev/null 2>&1; then
    buildah tag $BASE "$REGISTRY/${BASE#docker.io/}"
    push "$REGISTRY/${BASE#docker.io/}" >/dev/null
  fi
}

is_local() { [[ $REGISTRY == 127.0.0.1:* || $REGISTRY == localhost:* ]]; }

make_base() {
  run_long "making $BASE from Debian packages" 60 "$WORK/log" \
    debootstrap --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates bookworm "$WORK/root"
  resemble_official_image "$WORK/root"
  tar --numeric-owner --xattrs -C "$WORK/root" -cf "$WORK/root.tar" .
  cat >"$WORK/Dockerfile" <<'DOCKERFILE'
FROM scratch
ADD root.tar /
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
CMD ["python3"]
DOCKERFILE
  buildah bud --quiet --isolation chroot --pull-never -f "$WORK/Dockerfile" -t $BASE "$WORK" >/dev/null
}

resemble_official_image() {
  local root=$1 name
  rm -rf "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/log/*.log
  for name in python python3 python3.11; do ln -s /usr/bin/python3.11 "$root/usr/local/bin/$name"; done
  for name in pip pip3; do ln -s /usr/bin/pip3 "$root/usr/local/bin/$name"; done
  rm -f "$root"/usr/lib/python3.11/EXTERNALLY-MANAGED # pip may install, as in the official image
  # What `build` mounts: a mount point that is not there yet would stay in every image.
  mkdir -p "$root"/etc/uv "$root"/root/.cache/{uv,pip}
  touch "$root"/etc/pip.conf "$root"/etc/uv/uv.toml
}

build() {
  local image=$REGISTRY/${1:?NAME} dockerfile=${2:?DOCKERFILE} context=${3:?CONTEXT} mounts before
  need buildah
  [[ ${1##*/} == *:* ]] || image=$image:latest
  mapfile -t mounts < <(build_mounts)
  before=$(buildah images --quiet "$image" 2>/dev/null || true)
  buildah bud --isolation chroot --layers --pull-never "${mounts[@]}" "${@:4}" -f "$dockerfile" -t "$image" "$context" >&2
  # The image that had this name, gigabytes of which nothing stands on any more.
  [ -z "$before" ] || [ "$before" = "$(buildah images --quiet "$image")" ] || buildah rmi "$before" >/dev/null 2>&1 || true
  push "$image"
}

# build_mounts: what a build on this machine needs and no image should keep: its certificate authorities, its
# settings of pip and uv, and their caches.
build_mounts() {
  pip_settings >"$WORK/pip.conf"
  uv_settings >"$WORK/uv.toml"
  mkdir -p "$CACHE/pip" "$(uv_cache)"
  printf -- '--volume\n%s\n' "$WORK/pip.conf:/etc/pip.conf:ro" "$WORK/uv.toml:/etc/uv/uv.toml:ro" \
    "$(uv_cache):/root/.cache/uv" "$CACHE/pip:/root/.cache/pip"
  [ ! -e $CERTIFICATES ] || printf -- '--volume\n%s\n' "$CERTIFICATES:$CERTIFICATES:ro"
}

uv_cache() { echo "${UV_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/uv}"; }

# pip_settings: those of this machine's settings, from files and environment, that say where packages come from.
pip_settings() {
  echo "[global]"
  [ ! -e $CERTIFICATES ] || echo "cert = $CERTIFICATES"
  python3 -m pip config list 2>/dev/null | sed -nE "s/^(global|:env:)\.(index-url|extra-index-url|trusted-host|timeout|default-timeout|retries)='(.*)'$/\2 = \3/p" |
    sed 's/^default-timeout/timeout/' | sort -u -t= -k1,1
}

# uv reads none of pip's settings, so its index is pip's unless it has one of its own.
uv_settings() {
  local index=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-$(sed -n 's/^index-url = //p' "$WORK/pip.conf")}}
  printf "native-tls = true\nlink-mode = \"copy\"\n" # the cache is another file system to the build
  [ -z "$index" ] || echo "index-url = \"$index\""
}

# zstd at its lowest level: a large layer is pushed and unpacked in half of gzip's time.
push() {
  local verify=true
  ! is_local || verify=false
  buildah push --quiet --tls-verify=$verify --format oci --compression-format zstd --compression-level 1 \
    --digestfile "$WORK/digest" "$1" "docker://$1" >&2
  echo "$1@$(cat "$WORK/digest")"
}

list() {
  local name
  curl -fsS "http://$REGISTRY/v2/_catalog" | tr -d '[]"{} ' | sed 's/repositories://' | tr ',' '\n' | while read -r name; do
    [ -z "$name" ] || curl -fsS "http://$REGISTRY/v2/$name/tags/list" | tr -d '[]"{} ' | sed -E 's/^name:([^,]*),tags:(.*)$/\1: \2/'
  done
}

WORK=$(mktemp -d)
trap 'rm -rf --one-file-system "$WORK"' EXIT
case ${1:-} in
  base | build | list) "$@" ;;
  *)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
