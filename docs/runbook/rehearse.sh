#!/usr/bin/env bash
# The runbook at small scale on a CPU: rehearse.sh MANIFEST FOLDER [options of dnahnet train]
set -euo pipefail

manifest=$1 folder=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
dnahnet=${DNAHNET:-python -m dnahnet_cli}
options=(--preset tiny --minutes 1.5 --tokens-per-step 4096 --length 1024 --final-length 2048 "$@")

mkdir "$folder"
$dnahnet pack "$manifest" -o "$folder/parts" --part-size "${PART_SIZE:-25}"

call() { # call NUMBER KEPT: what each call on the lent machine is
    "$here/short-run.sh" "$folder/incoming" "$folder/$2" "$folder/out-$1" 0.5 "${options[@]}"
}

mkdir "$folder/incoming"
cp "$folder/parts/part-001.safetensors" "$folder/incoming/"
call 1 machine
cp "$folder"/parts/part-00[23]*.safetensors "$folder/incoming/" 2>/dev/null || true
call 2 machine
# The machine is lost. A fresh one gets all parts again, and the last export.
cp -r "$folder/out-2/export" "$folder/incoming/"
call 3 fresh-machine
test -e "$folder/out-3/summary.json" || call 4 fresh-machine # a slow start may leave some seconds of the budget

$dnahnet train "$manifest" "${options[@]}" -o "$folder/finish" --resume-from "$(ls -d "$folder"/out-*/export | tail -1)" \
    --markov-order 5 --save "$folder/rehearsed.safetensors"
