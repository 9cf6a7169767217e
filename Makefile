# What a person does. Everything else is a playbook: see README.md.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test test-long down

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Set up everything and run the basic tier on the lab; ends with a URL that answers
	@scripts/setup demo
	@.venv/bin/lab up
	@.venv/bin/ansible-playbook -i inventories/lab site.yml -e tier=basic
	@.venv/bin/lab status | grep '^front door'

test: ## Run the tests: lint, units, roles on hosts, minimal and basic end to end; stops a lab that runs
	@scripts/setup test
	@if .venv/bin/lab status >/dev/null 2>&1; then echo "the tests need the lab to themselves; stopping the one that runs" >&2; .venv/bin/lab down; fi
	@.venv/bin/pytest -m "not long" -n 3 --no-loadscope-reorder

test-long: ## What takes over an hour: the plan from every state, other versions of Ansible
	@scripts/setup test
	@.venv/bin/pytest -m long

down: ## Stop the lab and leave nothing behind
	@if [ -x .venv/bin/lab ]; then .venv/bin/lab down; else echo "nothing to stop: the lab was never set up here"; fi
