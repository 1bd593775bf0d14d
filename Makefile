# make demo: install if needed, then run the three commands on phage lambda. make test: every check.
# make results DATA=<folder>: every evaluation of the bundled model, and docs/results.md (docs/how-to.md).
# make fuzz: spoilt files into every reader, for hours; FUZZ="vcf gff -n 20000" for some (tests/fuzzing).
# make wheel: the packages, in dist/. make docs: the documentation as a site, in build/site/.
# make sbom: what is installed, as a bill of materials (CycloneDX), in build/sbom.json.

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

.PHONY: install demo test lint wheel docs clean results

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

# Every evaluation on public data, a JSON file each under docs/results/, and the page made of them. DATA holds fitness/,
# peers/, regulatory/, essentiality/ and genomes/. Scores are kept in .results/, so that a run that was stopped goes on
# and figures can be made anew; other weights, input or settings are scored afresh. MUTANTS, VARIANTS, GENES and WINDOWS
# bound what is drawn of each protein assay (empty: all), of the promoter's variants, of each organism and of each genome.
# JOBS evaluations run at a time, each with THREADS: on two cores, two of one thread are faster than one of two.
MODEL ?= dnahnet-small
JOBS ?= 2
THREADS ?= 1
MUTANTS ?=
VARIANTS ?= 4000
GENES ?= 250
WINDOWS ?= 16
KEPT = .results
JSON = docs/results
PAGE = docs/results.md
EVALUATE = $(BIN)/dnahnet evaluate
WITH = --model $(MODEL) -t $(THREADS) --no-progress
GENOMES = $(DATA)/essentiality
SITES = $(DATA)/regulatory
# The options of one evaluation: where scores, table and JSON go.
TO = --scores $(KEPT)/$(1) --resume -o $(KEPT)/$(1).tsv --json $(JSON)/$(1).json
RESULTS = $(addprefix results-,essentiality compression calibration fitness boundaries-ecoli boundaries-bsubtilis \
	boundaries-caulobacter boundaries-hpylori promoter)

.PHONY: $(RESULTS)

results: results-folders $(INSTALLED)
	$(MAKE) --no-print-directory -j $(JOBS) $(RESULTS)
	$(EVALUATE) report $(patsubst results-%,$(JSON)/%.json,$(RESULTS)) $(wildcard $(JSON)/scaling.json) \
		--model $(MODEL) -o $(PAGE)

$(RESULTS): results-folders $(INSTALLED)

.PHONY: results-folders
results-folders:
	@test -d "$(DATA)/fitness" || { echo "make results DATA=<folder>: where the data lie; see docs/how-to.md" >&2; exit 2; }
	@mkdir -p $(KEPT) $(JSON)

results-compression:
	$(EVALUATE) compression $(DATA)/genomes/val --background $(DATA)/genomes/manifest.tsv $(call TO,compression) $(WITH)

results-fitness:
	$(EVALUATE) fitness $(DATA)/fitness --peers $(DATA)/peers/proteingym_zero_shot_Spearman.tsv \
		$(if $(MUTANTS),--mutants $(MUTANTS)) $(call TO,fitness) $(WITH)

results-promoter:
	$(BIN)/python benchmarks/make_lacz_assay.py $(SITES)/lacz_promoter_sortseq_kinney2010/variants.tsv.gz \
		$(SITES)/lacz_promoter_sortseq_kinney2010/consensus_wt.fna $(GENOMES)/ecoli_k12_mg1655/genome.fna.gz \
		$(KEPT)/lac_promoter_Kinney_2010
	$(EVALUATE) fitness $(KEPT)/lac_promoter_Kinney_2010 --mutants $(VARIANTS) $(call TO,promoter) $(WITH)

results-essentiality:
	$(EVALUATE) essentiality $(GENOMES) --genes $(GENES) $(call TO,essentiality) $(WITH)

results-boundaries-ecoli:
	$(EVALUATE) boundaries $(GENOMES)/ecoli_k12_mg1655/genome.fna.gz --label "E. coli K-12" \
		--genes $(GENOMES)/ecoli_k12_mg1655/annotation.gff.gz --circular all --windows $(WINDOWS) \
		--sites $(SITES)/regseq_information_footprints/footprints.tsv.gz $(call TO,boundaries-ecoli) $(WITH)

results-boundaries-bsubtilis:
	$(EVALUATE) boundaries $(GENOMES)/DEG1001_Bacillus_subtilis_168/genome.fna.gz --label "B. subtilis 168" \
		--circular all --windows $(WINDOWS) --sites $(SITES)/tss_kuo2025/Bacillus_subtilis_168.tss.tsv \
		$(call TO,boundaries-bsubtilis) $(WITH)

results-boundaries-caulobacter:
	$(EVALUATE) boundaries $(SITES)/tss_caulobacter_zhou2015/genome.fna.gz --label "C. crescentus" --circular all \
		--windows $(WINDOWS) --sites $(SITES)/tss_caulobacter_zhou2015/tss.tsv $(call TO,boundaries-caulobacter) $(WITH)

results-boundaries-hpylori:
	$(EVALUATE) boundaries $(GENOMES)/DEG1008_Helicobacter_pylori_26695/genome.fna.gz --label "H. pylori 26695" \
		--circular all --windows $(WINDOWS) --sites $(SITES)/tss_kuo2025/Helicobacter_pylori_26695.tss.tsv \
		$(call TO,boundaries-hpylori) $(WITH)

results-calibration:
	$(EVALUATE) calibration $(GENOMES)/ecoli_k12_mg1655/genome.fna.gz --label "E. coli K-12" --circular all \
		--genes $(GENOMES)/ecoli_k12_mg1655/annotation.gff.gz $(call TO,calibration) $(WITH)

# The ladder of equal training operations, hours of CPU time: a JSON file that `make results` takes into the page. Runs
# are kept in .results/ladder, so that it goes on where it was stopped; started twice, both climb it together.
LADDER ?=

.PHONY: ladder
ladder: results-folders $(INSTALLED)
	$(BIN)/dnahnet benchmark scaling $(DATA)/genomes/manifest.tsv --runs $(KEPT)/ladder -t $(THREADS) \
		-o $(KEPT)/scaling.tsv --save $(JSON)/scaling.json $(LADDER)

test: lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

FUZZ ?=

.PHONY: fuzz
fuzz: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzzing $(FUZZ)

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

wheel: $(INSTALLED)
	$(BIN)/python -m hatchling build -d dist
	@ls -lh dist

# mkdocs is no part of the development extras: it is installed when it is first asked for.
docs: $(INSTALLED)
	@test -x $(BIN)/mkdocs || $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The site is in build/site/; begin with index.html"

# The tool gets an environment of its own, so that it is not listed itself. It asks the network for nothing.
CYCLONEDX = cyclonedx-bom==7.5.0
SBOM = build/cyclonedx

.PHONY: sbom
sbom: $(INSTALLED)
	@test -x $(SBOM)/bin/cyclonedx-py || { $(PYTHON) -m venv $(SBOM) && \
		$(SBOM)/bin/python -m pip install --quiet --disable-pip-version-check '$(CYCLONEDX)'; }
	$(SBOM)/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible \
		--of JSON -o build/sbom.json
	@echo "The bill of materials is in build/sbom.json"

clean:
	rm -rf $(VENV) demo-out build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find dnahnet_cli tests -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f demo/*.fai demo/*.gzi
