#!/usr/bin/env bash
# What docs/gpu.md reports, on one CUDA device: the tests that need it, the cost of a step, and, with a folder of the
# published .mat files, one training of two networks on real slices. Neither Snakemake nor Ray is needed.
#
#   bash benchmarks/gpu.sh OUTPUT [SLICES]
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH=$PWD/src:$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
output=$1 slices=${2:-}
mkdir -p "$output"

python3 -m pytest -q -n 8 tests/gpu 2>&1 | tee "$output/tests.txt" || true
{
  python3 benchmarks/gpu.py --profile
  python3 benchmarks/gpu.py --size 512 --steps-only
  python3 benchmarks/gpu.py --experiments mmran --steps-only --compile
} 2>&1 | tee "$output/steps.txt"
[ -n "$slices" ] || exit 0

# Full width at 256 pixels, for as few epochs as the reference run of docs/real-slices.md.
python3 - "$output/specs" <<'PYTHON'
import sys
from pathlib import Path
from mmran.config.configuration import Config
from mmran.config.load import load, overlay

training = {"epochs": 8, "learning_rate_schedule": "cosine"}
changes = {"source": "slices", "defaults": {"input": {"size": 256, "fit": "resample"}, "training": training}}
config = Config.checked(overlay(load([Path("config.yaml")]), changes | {"experiments": {
    name: {"seeds": [1029]} for name in ("dynamic", "mmran")
}}))
Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
for name in ("dynamic", "mmran"):
    Path(sys.argv[1], f"{name}.json").write_text(config.resolve(name).to_json())
PYTHON
store=$output/data/slices.h5
[ -f "$store" ] || python3 -m mmran convert "$slices" --output "$store"
for protocol in patient paper; do
  python3 -m mmran split "$store" --protocol $protocol --output "$output/folds/$protocol.csv"
  mkdir -p "$output/splits"
  awk -F, 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == "fold") column = i} NR == 1 || $column == 0' \
    "$output/folds/$protocol.csv" > "$output/splits/$protocol.csv"
  for name in dynamic mmran; do
    python3 -m mmran train --spec "$output/specs/$name.json" --store "$store" --split "$output/splits/$protocol.csv" \
      --output "$output/experiments/$name/$protocol" --work "$output/.work" --gpus 1 --no-ray --evaluate --verbose
  done
done
