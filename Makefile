# Every daily task, one verb each; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help cluster down status images ledger-secrets install-dev demo crds check test test-unit test-api test-cluster test-faults test-faults-long bench clean

# uv reads pyproject.toml and uv.lock. A machine without it gets one in a place of its own.
PYTHON ?= python3
CACHE := $(or $(MODELYARD_CACHE),$(HOME)/.cache/modelyard)
UV := $(or $(shell command -v uv),$(CACHE)/uv/bin/uv)
export UV
# Types of libraries are read once, not once a checkout.
export MYPY_CACHE_DIR := $(CACHE)/mypy
# Where a machine says that no bytecode is kept, each of thousands of processes compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE
CLUSTER := $(PYTHON) -m dev.cluster
KUBECTL := .cluster/bin/kubectl --kubeconfig .cluster/kubeconfig
HELM := .cluster/bin/helm --kubeconfig .cluster/kubeconfig
# With the demo's packages: tests check artifacts that real libraries write.
PYTEST := $(UV) run --group demo pytest
# Most of what tests with a cluster do is to wait, so there are more processes than cores.
SIDE_BY_SIDE := --dist=loadgroup --no-loadscope-reorder --numprocesses

help: ## list these verbs
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

cluster: $(UV) ## start a real cluster, or repair the one that runs
	@$(CLUSTER) up

down: ## stop it; nothing of it is left running, mounted or routed
	@$(CLUSTER) down

status: ## say which of its programs run
	@$(CLUSTER) status

images: $(UV) ## rebuild what changed in modelyard:dev and the examples' images, and load it
	@$(CLUSTER) images

# The installed operator keeps a ledger in the cluster's own store, signed with a key of the cluster's own.
ledger-secrets:
	@test -f .cluster/ledger.pem || (umask 077 && openssl genpkey -algorithm ed25519 -out .cluster/ledger.pem)
	@$(KUBECTL) create namespace modelyard-system --dry-run=client -o yaml | $(KUBECTL) apply -f - >/dev/null
	@$(KUBECTL) -n modelyard-system create secret generic ledger-s3 --from-env-file=.cluster/s3.env --dry-run=client -o yaml \
	  | $(KUBECTL) apply -f - >/dev/null
	@$(KUBECTL) -n modelyard-system create secret generic ledger-key --from-file=key.pem=.cluster/ledger.pem --dry-run=client -o yaml \
	  | $(KUBECTL) apply -f - >/dev/null

# Namespaces labelled modelyard.dev/unprotected are for tests in which an administrator plays the operator. With the test
# at the end, the next command may write a Model: to one that is a few seconds early the API server says ServiceUnavailable.
install-dev: images ledger-secrets ## install or upgrade the operator from this checkout in the cluster
	$(HELM) upgrade --install modelyard charts/modelyard --namespace modelyard-system --create-namespace \
	  --set image.repository=modelyard --set image.tag=dev --set image.pullPolicy=IfNotPresent \
	  --set 'admission.namespaceSelector.matchExpressions[0].key=modelyard.dev/unprotected' \
	  --set 'admission.namespaceSelector.matchExpressions[0].operator=DoesNotExist' \
	  --set 'admission.sharedAccounts={gitops}' \
	  --set clusterName=dev,ledger.url=s3://ledger/modelyard,ledger.secretName=ledger-s3,ledger.signingSecretName=ledger-key \
	  --set ledger.endpoint="$$(sed -n 's/^AWS_ENDPOINT_URL=//p' .cluster/s3.env)" \
	  --set-string podAnnotations.image="$$(cat .cluster/images/modelyard_dev 2>/dev/null)" --take-ownership --force-conflicts --wait --timeout 3m
	@$(HELM) test modelyard --namespace modelyard-system --timeout 3m >/dev/null \
	  || { $(KUBECTL) --namespace modelyard-system logs modelyard-test; exit 1; }

demo: cluster install-dev ## the main job on a real model: register, verify, serve, promote, roll back
	@$(UV) run --group demo python -m dev.demo

crds: $(UV) ## write the CRDs from the types in operator/modelyard/api
	$(UV) run python -m modelyard.api.crd

check: $(UV) ## format, lint, types, import contracts
	$(UV) run ruff format --check .
	$(UV) run ruff check .
	$(UV) run mypy
	$(UV) run lint-imports

.PHONY: audit
audit: $(UV) ## whether a vulnerability is known of a package in the image
	@$(PYTHON) -m dev.audit

test: $(UV) ## everything: what a change must pass
	@$(MAKE) --no-print-directory --jobs=2 check cluster collected
	$(PYTEST) $(SIDE_BY_SIDE)=4

# Whether all tests can be read is told before any runs; what they import is then compiled once, not by each process.
.PHONY: collected
collected: $(UV)
	@set -o pipefail; $(PYTEST) --collect-only --quiet --quiet | tail -n 30 | sed '/^tests.*: [0-9]*$$/d;/^$$/d'

test-unit: $(UV) ## the inner loop: no cluster, under 20 s
	$(PYTEST) tests/unit --hypothesis-profile=quick $(SIDE_BY_SIDE)=auto

test-api: cluster ## against a real API server
	$(PYTEST) -m api

test-cluster: cluster ## with real pods
	$(PYTEST) -m cluster

test-faults: cluster ## kill and disturb the operator on a real API server, 150 times
	$(PYTEST) -m faults

RUNS ?= 1500
MINUTES ?= 60
test-faults-long: cluster ## the same RUNS=1500 times within MINUTES=60, and the table in docs/reliability.md
	$(UV) run --group demo python -m tests.faults --runs $(RUNS) --minutes $(MINUTES) --lanes 8 --write docs/reliability.md

bench: cluster ## measure, beside the raw floor of the same run
	$(UV) run python -m tests.bench

clean: down ## also remove what was built in this checkout; the cache is kept
	rm -rf .cluster .venv dist

$(CACHE)/uv/bin/uv:
	@echo "install uv in $(CACHE)/uv"
	@$(PYTHON) -m venv $(CACHE)/uv 2>/dev/null || { \
	  apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends python3-venv && \
	  $(PYTHON) -m venv $(CACHE)/uv; }
	@$(CACHE)/uv/bin/pip install --quiet "uv>=0.9,<1"
