# The verbs people try. Each is a line; what they do is in tests/run, .ci/run, tools/ and docs/.
python := .venv/bin/python
environment := root=$(CURDIR); . tools/environment.sh; make_environment dev
.DEFAULT_GOAL := help
.PHONY: help setup test lint types format docs site bench smoke check

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

setup: ## create .venv with dtk in editable mode and the development tools
	@$(environment)

test: ## run the tests; ARGS="-x tests/plan" passes arguments to pytest
	tests/run $(ARGS)

lint: setup ## check format, lint rules, spelling and prose
	$(python) -m ruff format --check .
	$(python) -m ruff check .
	.venv/bin/codespell
	.venv/bin/proselint --config .proselintrc.json check README.md SECURITY.md CONTRIBUTING.md docs/*.md modules/*/*/README.md

types: setup ## run mypy in strict mode
	$(python) -m mypy --strict

format: setup ## format the code and apply safe fixes
	$(python) -m ruff format .
	$(python) -m ruff check --fix .

docs: setup ## regenerate the generated pages, then check links and examples
	$(python) docs/make_commands.py
	$(python) docs/make_language.py
	$(python) docs/make_documents.py
	$(python) -m pytest -q tests/test_documentation.py tests/test_references.py tests/cli/test_reference.py

site: setup ## build the documentation site into build/site and check every link in it
	NO_MKDOCS_2_WARNING=1 $(python) -m mkdocs build --quiet --strict

bench: setup ## measure start-up and planning
	$(python) bench/run.py

smoke: ## build the sdist and the wheel, install the wheel in a clean environment and run it
	tools/smoke

check: ## everything that must pass before a change is merged
	.ci/run
