#!/usr/bin/env bash
# Installs the operator into the cluster of $KUBECONFIG with the images that project-images.sh built.
#
#   install.sh [HELM-ARGUMENT...]   install or upgrade; waits until it is ready
#   install.sh uninstall            remove it; the CRDs and their objects stay
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$HERE/lib/places.sh"
PATH=$HERE/../.venv/bin:$PATH
need helm
export KUBECONFIG=${KUBECONFIG:-$("$HERE/cluster.sh" kubeconfig)}

if [ "${1:-}" = uninstall ]; then
  helm uninstall finetune-operator --namespace finetune-system --wait >&2
else
  image() { "$HERE/project-images.sh" reference "$1"; }
  helm upgrade --install finetune-operator "$HERE/../charts/finetune-operator" --namespace finetune-system --create-namespace \
    --set images.operator="$(image finetune-operator)" --set images.trainer="$(image finetune-trainer)" \
    --set images.servers.onnx="$(image finetune-server-onnx)" --set training.allowCustomCode=true --wait --timeout 3m "$@" >&2
fi
