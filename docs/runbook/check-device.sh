#!/usr/bin/env bash
# What cannot be known without a GPU, in about four minutes of one: does it compute what a CPU does, and how fast?
#
#   check-device.sh PARTS OUT [SECONDS]
#
# PARTS     folder with a part file of the corpus (dnahnet pack)
# OUT       folder for what comes out: a log of each check, tables and JSON
# SECONDS   how long each preset trains for its speed, 20 unless given
#
# A check that fails is counted, and the next one begins. DEVICE is cuda unless set, PRESETS "base small-deep"; to rehearse
# on a CPU, DEVICE=cpu PRESETS=tiny leaves out what is of Triton alone. DNAHNET is the command, by default this checkout's
# `python -m dnahnet_cli`.
set -uo pipefail

parts=$(cd "$1" && pwd) || exit 1
seconds=${3:-20} device=${DEVICE:-cuda} presets=${PRESETS:-base small-deep}
mkdir -p "$2"
out=$(cd "$2" && pwd)
cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD
dnahnet=${DNAHNET:-python -m dnahnet_cli}
failed=0

check() { # check NAME LIMIT COMMAND...: run at most LIMIT seconds
    local name=$1 limit=$2 start=$SECONDS
    shift 2
    if timeout "$limit" "$@" >"$out/$name.log" 2>&1; then
        echo "ok    $name, $((SECONDS - start)) s"
    else
        echo "fail  $name, $((SECONDS - start)) s: $(tail -n 1 "$out/$name.log")"
        failed=$((failed + 1))
    fi
}

# The bundled weights score as they do on a CPU. What is missing of packages fails too, so the self-test is what counts.
for dtype in float32 bfloat16; do
    check "doctor-$dtype" 60 bash -c "$dnahnet doctor --device $device --dtype $dtype | tee /dev/stderr | grep -q 'ok .*self-test.*differ'"
done
if [ "$device" != cpu ]; then
    check kernels-right 150 python -m pytest -q -m gpu -p no:cacheprovider \
        tests/ops tests/training/test_hardware.py tests/benchmarking/test_forward.py tests/scoring/test_graphs.py
    check kernels-fast 90 python benchmarks/kernels.py --json "$out/kernels.json"
fi
# `bases/s` and `mfu` in each curve.csv; the figures of the first steps, in which kernels are compiled, are lower.
for preset in $presets; do
    check "train-$preset" $((seconds + 90)) $dnahnet train "$parts" --watch --preset "$preset" --device "$device" \
        --dtype bfloat16 --tokens-per-step 65536 --micro-tokens 131072 --markov-order 0 \
        --minutes "$(awk "BEGIN { print $seconds / 60 }")" -o "$out/run-$preset"
    cp "$out/run-$preset/curve.csv" "$out/curve-$preset.csv" 2>/dev/null
    rm -rf "$out/run-$preset"
done
check forward 90 $dnahnet benchmark forward --preset "${presets%% *}" --device "$device" --min-length 8192 \
    --max-length 131072 --rounds 3 --max-seconds 2 -o "$out/forward.tsv" --save "$out/forward.json"
exit "$((failed > 0))"
