.DEFAULT_GOAL := help
.PHONY: help run test test-oldest lint api faults fuzz exact soak bag bench bench-corpus container-test setup setup-test clean

ROUNDS ?= 200
UTTERANCES ?= 10000
MODEL ?= $(CURDIR)/models/tiny.en
MICROPHONE ?=
PYTEST_ARGUMENTS ?=

help: ## Show what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 24

run: setup ## Hear a person and print the text [MICROPHONE=default] [MODEL=distil-whisper/distil-medium.en]
	@tools/with_ros python tools/demo.py --model '$(MODEL)' --microphone '$(MICROPHONE)'

test: setup-test lint ## Run every test
	@tools/with_ros python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGUMENTS)

test-oldest: setup-test ## Run the tests of the model with the oldest transformers [PYTEST_ARGUMENTS=tests/whisper]
	@tools/test_oldest.sh $(PYTEST_ARGUMENTS)

lint: setup-test ## Check format, types, and the floors that imports may cross
	@tools/with_ros black --quiet --check $(SOURCES) || { tools/with_ros black --diff -q $(SOURCES); exit 1; }
	@tools/with_ros ruff check --quiet $(SOURCES)
	@tools/with_ros pyright
	@tools/with_ros lint-imports --no-cache

api: setup-test ## Write the API pages to docs/api/html
	@tools/api_pages.sh

faults: setup-test ## Try every fault in every state of the node; print the table [PYTEST_ARGUMENTS]
	@RELIABILITY=full tools/with_ros python -m pytest -q -n 2 tests/reliability/test_node_faults.py $(PYTEST_ARGUMENTS)

fuzz: setup-test ## Send 20,000 random requests and 10,000 random steps to the node [FUZZ_SEED=1]
	@RELIABILITY=full FUZZ_CASES=$${FUZZ_CASES:-20000} tools/with_ros python -m pytest -q -s tests/reliability/test_node_fuzz.py tests/reliability/test_fuzz_parts.py tests/audio/test_fuzz.py $(PYTEST_ARGUMENTS)

exact: setup-test ## Compare the decoders with transformers on all utterances of the benchmark
	@RELIABILITY=full tools/with_ros python -m pytest -q tests/whisper/test_decoding.py tests/whisper/test_beam.py tests/whisper/test_speculative.py tests/whisper/test_cuda_graph.py $(PYTEST_ARGUMENTS)

bag: ## Print how to record audio and transcripts in a bag, and what it is for
	@echo 'A bag of what the microphone heard, and of what the node made of it, shows faults again and lets'
	@echo 'you compare models. It has voices in it: keep it safe. With the executable microphone running, and'
	@echo 'the node with audio.source:=topic:'
	@echo
	@echo '  ros2 bag record --storage mcap -o talk /audio /speech/transcript /speech/state /diagnostics'
	@echo
	@echo 'Then transcribe its audio, and compare with its transcripts:'
	@echo
	@echo '  pip install mcap mcap-ros2-support'
	@echo '  ros2 run distil_whisper_ros transcribe talk/talk_0.mcap'

bench: setup-test ## Measure, and compare with the model card's pipeline and faster-whisper
	@tools/with_ros python benchmarks/latency.py

bench-corpus: setup-test ## Measure your own recordings and their texts: words, cuts, latency [DIR=...] [MODEL] [ARGUMENTS]
	@[ -n '$(DIR)' ] || { echo 'make bench-corpus needs DIR=FOLDER, with recordings and their texts'; exit 2; }
	@tools/with_ros python benchmarks/own_recordings.py '$(DIR)' --model '$(MODEL)' $(ARGUMENTS)

soak: setup-test ## Hear 10,000 utterances, and load the model 200 times: memory stays flat [UTTERANCES=10000] [ROUNDS=200]
	@tools/with_ros python benchmarks/soak.py --utterances $(UTTERANCES)
	@tools/with_ros python benchmarks/soak.py --utterances $(UTTERANCES) --source microphone
	@tools/with_ros python benchmarks/reload.py --cycles $(ROUNDS)

container-test: setup-test ## Build the container on a stand-in for the Jetson image, and let it hear (root)
	@docker/test/run

setup: ## Install what make run needs
	@tools/setup.sh run

setup-test: ## Install what tests and benchmarks need
	@tools/setup.sh test

clean: ## Remove all that was built and installed here
	rm -rf .venv .oldest .docs docs/api/html models ros2_ws/build ros2_ws/install ros2_ws/log benchmarks/results tests/reliability/results

SOURCES := distil_whisper_ros launch examples tests tools benchmarks setup.py
