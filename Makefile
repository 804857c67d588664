SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
PYTEST := python -m pytest

.DEFAULT_GOAL := help
.PHONY: help dev lint format crds requirements models unit test-models test-strategies test-gpu test-trainer test-server test-cluster test-e2e test test-all \
	binaries cluster cluster-down cluster-status kubeconfig images demo down bench-operator

help: ## show this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/\1\t\2/p' Makefile | expand -t 16

dev: ## make .venv with all that development needs; quick when nothing has changed
	@scripts/dev.sh

lint: dev ## ruff, mypy, import-linter, generated files, chart, shell scripts
	@scripts/lint.sh

format: dev ## let ruff format the Python files
	ruff check --fix-only --quiet .
	ruff format --quiet .

crds: dev ## write crds/, the chart's copy and docs/reference.md from the models
	python -m finetune_api.crds --write

models: dev ## write docs/models.md from the table of model families
	python scripts/models_page.py --write

unit: dev ## tests without root, cluster or models: seconds
	python scripts/run_phases.py unit

test-trainer: dev ## tests of the stage programs with small real models
	python scripts/run_phases.py trainer

test-server: dev ## tests of the inference server with small real models
	python scripts/run_phases.py server

test-models: dev ## every model family, tiny, through all stages: proves docs/models.md; half an hour
	$(PYTEST) tests/models

test-strategies: dev ## every training strategy with every method, in 1, 2 and 2 x 2 processes; half an hour
	$(PYTEST) tests/strategies

test-gpu: dev ## trainings on the CUDA GPUs of this machine, a table in build/gpu; says what it skips and why
	$(PYTEST) tests/gpu

test-cluster: dev ## tests on a real API server without nodes
	python scripts/run_phases.py cluster

test-e2e: dev ## tests with real pods on the local cluster (root)
	$(PYTEST) tests/e2e

test: PHASES = unit make:binaries cluster server trainer make:images e2e
test: dev ## all tests, phase by phase (root)
test-all: PHASES = unit make:binaries cluster server trainer strategies models make:images e2e
test-all: export FINETUNE_FUZZ_SECONDS = 600
test-all: export FINETUNE_SIGTERMS = 50
test-all: dev ## the same, with every model family, long fuzzing and many interruptions; hours (root)

test test-all:
	@local-cluster/cluster.sh status >/dev/null 2>&1 && was_up=yes; \
	python scripts/run_phases.py $(PHASES); code=$$?; \
	[ "$$was_up" ] || local-cluster/cluster.sh down; \
	exit $$code

requirements: dev ## write the checksums of the images' packages into requirements/, after a version in there was changed
	@scripts/pin_requirements.sh

binaries: ## install the packages that the local cluster needs and build Kubernetes; once, cached outside the tree (root)
	local-cluster/install-packages.sh
	local-cluster/build-binaries.sh

cluster: dev binaries ## start the local one-node Kubernetes (root)
	local-cluster/cluster.sh up

cluster-down: ## stop it; nothing is left but the cache
	local-cluster/cluster.sh down

cluster-status: ## what of it runs
	@local-cluster/cluster.sh status

kubeconfig: ## print the path of its kubeconfig
	@local-cluster/cluster.sh kubeconfig

images: cluster ## build the images and load them into the local cluster (root)
	local-cluster/project-images.sh

demo: dev ## the whole way from a dataset to a guarded model; CONTEXT= and REGISTRY= for a cluster of your own
	CONTEXT='$(CONTEXT)' REGISTRY='$(REGISTRY)' local-cluster/demo.sh

bench-operator: dev ## many fine-tunings at once, beside JobSet; without root
	local-cluster/build-binaries.sh etcd kube-apiserver kube-controller-manager kube-scheduler kwok
	python benchmarks/operator_scale.py

down: cluster-down ## the same as cluster-down
