#!/usr/bin/env bash
# One call on a machine that is lent for a short time: train for MINUTES, then leave everything needed to go on.
#
#   short-run.sh INCOMING KEPT OUT MINUTES [options of dnahnet train]
#
# INCOMING  folder that came with this call: part files of the corpus, and perhaps export/, a checkpoint to go on from
# KEPT      folder on this machine that outlasts the call: it collects the parts and holds the run
# OUT       folder whose files are brought back: export/, the curve, the log, the summary
# MINUTES   how long this call may train; the whole run's length is the option --minutes
#
# Training begins with the parts that are there. More of them may be copied into KEPT/parts while it runs, each under
# another name first and then renamed. DNAHNET is the command, by default this checkout's `python -m dnahnet_cli`.
set -euo pipefail

incoming=$1 kept=$2 out=$3 minutes=$4
shift 4

mkdir -p "$kept/parts" "$out"
for part in "$incoming"/part-*.safetensors; do
    name=$(basename "$part")
    if [ -e "$part" ] && [ ! -e "$kept/parts/$name" ]; then
        cp "$part" "$kept/parts/.$name"
        mv "$kept/parts/.$name" "$kept/parts/$name"
    fi
done

begin=(--resume)
if [ -d "$incoming/export" ]; then # used only where KEPT has no checkpoint of its own
    begin+=(--resume-from "$incoming/export")
fi

code=0
${DNAHNET:-python -m dnahnet_cli} train "$kept/parts" --watch "${begin[@]}" -o "$kept/run" \
    --stop-after "$minutes" --checkpoint-minutes 2 --part-size 15 --export "$out/export" --markov-order 0 \
    --json-summary "$out/summary.json" "$@" 2>&1 | tee -a "$kept/log.txt" || code=$?

cp "$kept/log.txt" "$out/"
cp "$kept/run/curve.csv" "$out/"
exit "$code"
