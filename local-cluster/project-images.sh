#!/usr/bin/env bash
# Builds this project's images and pushes them. Needs root.
#
#   project-images.sh [NAME...]         build these, or all
#   project-images.sh reference NAME    print REGISTRY/NAME:TAG@DIGEST of what was built last
#
# REGISTRY=host/path pushes there instead of the local cluster's registry.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/lib/places.sh"
source "$HERE/lib/progress.sh"

ROOT=$HERE/..
export FINETUNE_REGISTRY=${REGISTRY:-127.0.0.1:5000}
REFERENCES=$CACHE/references/${FINETUNE_REGISTRY//\//_}

# In the order in which they build: the trainer stands on its base.
NAMES=(finetune-trainer-base finetune-trainer finetune-server-onnx finetune-operator finetune-demo-s3)
declare -A DOCKERFILES=(
  [finetune-trainer-base]=trainer-image/base.Dockerfile
  [finetune-trainer]=trainer-image/Dockerfile
  [finetune-server-onnx]=inference-image/onnx.Dockerfile
  [finetune-operator]=operator/Dockerfile
  [finetune-demo-s3]=local-cluster/demo/s3.Dockerfile
)

# Seconds on two cores: of a first build, and of one that finds its packages in the layer below.
declare -A ABOUT=([finetune-trainer-base]=240 [finetune-server-onnx]=40 [finetune-operator]=40 [finetune-demo-s3]=60)

reference() {
  cat "$REFERENCES/${1:?NAME}" 2>/dev/null || die "the image $1 was not built yet: run local-cluster/project-images.sh $1"
}

build() {
  local name=$1 place=$2 arguments=()
  [ -n "${DOCKERFILES[$name]:-}" ] || die "there is no image '$name'; there are: ${NAMES[*]}"
  [ "$name" != finetune-trainer ] || arguments=(--build-arg "BASE=$FINETUNE_REGISTRY/finetune-trainer-base:latest")
  mkdir -p "$REFERENCES"
  run_long "image $name ($place)" "$(about "$name")" "$REFERENCES/$name.log" \
    build_into "$REFERENCES/.$name" "$name" "$ROOT/${DOCKERFILES[$name]}" "$ROOT" "${arguments[@]}"
  mv "$REFERENCES/.$name" "$REFERENCES/$name"
}

# build_into FILE ...: the reference goes into the file, all else that is printed is the log.
build_into() {
  local file=$1
  shift
  "$HERE/images.sh" build "$@" >"$file"
}

about() {
  if [ -e "$REFERENCES/$1" ]; then echo 10; else echo "${ABOUT[$1]:-10}"; fi
}

if [ "${1:-}" = reference ]; then
  reference "${2:-}"
else
  [ $# -gt 0 ] || set -- "${NAMES[@]}"
  "$HERE/images.sh" base
  place=0
  for name; do build "$name" "$((++place)) of $#"; done
fi
