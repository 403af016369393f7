# Everything a fresh machine needs is Python >= 3.10 and make. `make help` lists the commands.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch
PY := $(VENV)/bin/python
PYTEST := $(PY) -m pytest
WORKERS ?= 2

# Where host tests look for ComfyUI; every host found there runs them once.
CACHE := $(HOME)/.cache/zoetrope
NAME ?= ComfyUI
# Whole versions: torchaudio 2.11.1 wants symbols that torch 2.11.0 does not have, though its metadata allow the pair.
HOST_TORCH ?= torch==2.11.0 torchvision==0.26.0 torchaudio==2.11.0

# A change of TORCH= installs again; `make host` may change torch afterwards.
.PHONY: FORCE help test check slow e2e parity oldest host demo clean

help:
	@echo "make test                 install into $(VENV) and run the suite (host tests run where a host is found)"
	@echo "make check                ruff, format, pyright, tests"
	@echo "make slow                 property, fuzz and full-size tests as well"
	@echo "make host SOURCE=... [NAME=ComfyUI]   a real ComfyUI for the host tests, from a path or a git URL"
	@echo "                          NAME=extra/ComfyUI-0.33: one that only COMFYUI_PATH= chooses (docs/hosts.md)"
	@echo "make e2e                  real servers and a real browser, where they are found; a report in output/e2e/index.html"
	@echo "make oldest               the lower bounds of all requirements, in $(OLDEST), and what has to hold with them"
	@echo "make parity               runs the golden tests on every host found and writes docs/parity.md"
	@echo "make demo                 a prompt, a video: the embedded model -> output/demo/clip.mp4, clip.png"
	@echo "make clean                removes $(VENV), $(OLDEST) and everything made"
	@echo "TORCH='torch==2.11.*' chooses another torch requirement, VENV=... another environment"

$(VENV)/ready: requirements.txt pyproject.toml $(VENV)/torch
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check $(TORCH) -e ".[dev,standalone]"
	touch $@

$(VENV)/torch: FORCE
	@mkdir -p $(VENV); echo "$(TORCH)" | cmp -s - $@ || echo "$(TORCH)" > $@

FORCE:

# Two processes share the files out; what one file's tests share is made once.
SHARED := -n $(WORKERS) --dist loadfile

test: $(VENV)/ready
	$(PYTEST) $(SHARED)
	$(PY) tools/other_hosts.py $(SHARED)

check: $(VENV)/ready
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pyright --pythonpath $(PY)
	$(MAKE) test

slow: $(VENV)/ready
	$(PYTEST) -m "not e2e"
	$(PYTEST) -m "e2e and slow"

REPORT := output/e2e

e2e: $(VENV)/ready
	command -v npm > /dev/null && npm install --silent --no-audit --no-fund --prefix $(CACHE)/node playwright-core || true
	rm -rf $(REPORT) && mkdir -p $(REPORT)
	SCREENSHOTS=$(abspath $(REPORT)) $(PYTEST) -m "e2e and not slow" --junit-xml=$(REPORT)/tests.xml; \
		status=$$?; $(PY) tools/report.py $(REPORT); exit $$status

GOLDEN := tests/models tests/sampling tests/video/frames tests/hosts

parity: $(VENV)/ready
	rm -f .parity.jsonl
	PARITY=.parity.jsonl $(PYTEST) -q $(GOLDEN)
	PARITY=.parity.jsonl $(PY) tools/other_hosts.py
	$(PY) tools/parity.py .parity.jsonl > docs/parity.md
	rm -f .parity.jsonl

# numpy at its bound is made for Python up to 3.11.
OLDEST := .venv-oldest
OLDEST_PYTHON ?= $(shell python3.10 -c '' 2> /dev/null && echo python3.10 || echo $(PYTHON))
OLDEST_TESTS ?= tests/video tests/models/formats tests/test_formats.py tests/shots tests/sampling tests/demo tests/cli tests/hosts/diffusers

$(OLDEST)/ready: requirements.txt pyproject.toml
	test -x $(OLDEST)/bin/python || $(OLDEST_PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check $$($(PY) tools/oldest.py) "pytest>=8.4" hypothesis
	touch $@

# The bundled FFmpeg of those days encodes; today's makes the files that tests read, and judges.
oldest: $(VENV)/ready $(OLDEST)/ready
	JUDGE=$$($(PY) -c "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())") COMFYUI_PATH=none \
		$(OLDEST)/bin/python -m pytest -p no:xdist $(OLDEST_TESTS)

host: $(VENV)/ready
	$(PY) tools/get_host.py --name "$(NAME)" --source "$(SOURCE)" --torch "$(HOST_TORCH)"

demo: $(VENV)/ready
	$(VENV)/bin/zoetrope demo

clean:
	rm -rf $(VENV) $(OLDEST) output .pytest_cache .ruff_cache zoetrope.egg-info
