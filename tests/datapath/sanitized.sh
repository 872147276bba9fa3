#!/usr/bin/env bash
# Runs the datapath's tests on a build with AddressSanitizer and UndefinedBehaviorSanitizer, in a copy of the sources.
#
#   tests/datapath/sanitized.sh [pytest arguments]        PYTHON: the interpreter, default .venv/bin/python
#
# Classifier.packet and recognise.table.ask lay each packet in a heap block of exactly its size, so one byte read beyond
# it stops the run. Leaks are not looked for: the interpreter's own drown them.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

cp -r "$root/daemon" "$root/tests" "$root/pyproject.toml" "$copy"
find "$copy/daemon" -name '*.so' -delete
cd "$copy/daemon"
mapfile -t modules < <(find citygate -name '*.pyx')
# -g0 and -O1: what a report needs is the function's name, and the build should not take minutes.
export CFLAGS='-O1 -g0 -fsanitize=address,undefined -fno-omit-frame-pointer' LDFLAGS='-fsanitize=address,undefined'
"$python" -m Cython.Build.Cythonize -q --inplace --force --parallel 2 "${modules[@]}"

cd "$copy"
LD_PRELOAD="$(cc -print-file-name=libasan.so) $(cc -print-file-name=libubsan.so)"
export LD_PRELOAD ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1
export PYTHONMALLOC=malloc PYTHONPATH="$copy/daemon:$copy"
# -s: with pytest's capture the sanitizer's last words would be lost with the process.
"$python" -m pytest -q -s -p no:cacheprovider tests/datapath "$@"
