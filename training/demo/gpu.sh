#!/bin/sh
# Trains and evaluates the model of the lively world from a bare checkout, without network; the same command continues.
#   training/demo/gpu.sh RUNS [RESULTS] [arguments of zoetrope.training.demo.gpu]
# RUNS     folder of states, kept between calls, such as output/lively
# RESULTS  folder for what is to be copied away: figures, sheets, and the model as a tar archive in parts of 15 MB
# Wheels in build/wheels (diffusers and what it needs) are installed into RUNS if Python has no diffusers.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
runs=$1; shift
results=; case ${1:---} in -*) ;; *) results=$1; shift ;; esac
mkdir -p "$runs/path"
ln -sfn "$here" "$runs/path/zoetrope"
export PYTHONPATH="$runs/path:$runs/site${PYTHONPATH:+:$PYTHONPATH}"
python=${PYTHON:-python3}
"$python" -c 'import diffusers' 2> /dev/null ||
    "$python" -m pip install --quiet --no-index --no-deps --target "$runs/site" "$here"/build/wheels/*.whl
status=0; "$python" -m zoetrope.training.demo.gpu --output "$runs" "$@" || status=$?
if [ -n "$results" ]; then
    mkdir -p "$results"
    tar -C "$runs" -cf - $(cd "$runs" && ls -d demo figures stages plan.jsonl ./*/log.jsonl ./*/sheet_*.png 2> /dev/null) |
        split -b 15000000 - "$results/lively.tar."
fi
exit $status
