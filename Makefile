# make demo: install if needed, then run the three commands on phage lambda. make test: every check.

PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/installed

# Print the columns named in `want` from the first rows of a table with a header.
SHOW = awk -F '\t' ' \
	/^\043\043/ { next } \
	++row > 6 { exit } \
	row == 1 { sub(/^\043/, ""); n = split(want, name, " "); for (i = 1; i <= NF; i++) at[$$i] = i } \
	{ line = " "; for (i = 1; i <= n; i++) if (name[i] in at) line = line sprintf(" %-12s", $$(at[name[i]])); print line }'

.PHONY: install demo test lint clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@echo "Installing into $(VENV): a minute or two, and about 2 GB of disk"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(INSTALLED)

demo: $(INSTALLED)
	@mkdir -p demo-out
	$(BIN)/dnahnet score-variants demo/lambda.fa demo/lambda.vcf -o demo-out/variants.tsv
	$(BIN)/dnahnet essentiality demo/lambda.fa -o demo-out/essentiality.tsv
	$(BIN)/dnahnet boundaries demo/lambda.fa > demo-out/chunks.bed
	@echo
	@echo "demo-out/variants.tsv: how likely the model finds each variant (llr < 0: less likely than the reference)"
	@$(SHOW) want='pos ref alt status llr num_changes' demo-out/variants.tsv
	@echo
	@echo "demo-out/essentiality.tsv: how badly the model takes the loss of each gene"
	@$(SHOW) want='start end strand length_bp score rank locus_tag' demo-out/essentiality.tsv
	@echo
	@echo "demo-out/chunks.bed: where the model cuts the sequence"
	@grep -v '^#' demo-out/chunks.bed | head -n 5 | sed 's/^/  /'
	@echo
	@echo "The results are in demo-out/. Everything was computed on this machine; nothing was sent anywhere."

test: lint
	$(BIN)/python -m pytest -q

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo-out build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find dnahnet_cli tests -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f demo/*.fai demo/*.gzi
