#!/bin/sh
# The tests with an extension and an init that are built with the address and undefined-behaviour
# sanitizers (setup.py, CRABCAN_SANITIZE). `tests/sanitize.sh [TEST...]`; all in build/sanitize.
set -eu
[ $# -gt 0 ] || set -- tests/container tests/unit tests/robustness
cd "$(dirname "$0")/.."
folder="$PWD/build/sanitize"
rm -rf "$folder"
mkdir -p "$folder/logs"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$folder" 2>/dev/null || true
cd "$folder"
"${PYTHON:-python3}" -m venv .venv
export ASAN_OPTIONS="detect_leaks=0:verify_asan_link_order=0"
CRABCAN_SANITIZE=1 CRABCAN_WERROR=1 .venv/bin/pip install -q '.[test,lint]'

# What cannot be so: an extension in the container's own Python, which has no sanitizer loaded, and
# programs of others (shells, tmux, groff) that are slow under one or do not pass it themselves.
left_out="test_booleans or test_python_exchanges_booleans_both_ways or test_sample_runs
	or test_empty_datagram_is_no_end_and_no_boolean or test_in_a_real_shell or in_tmux
	or test_man_pages_are_without_a_warning or crabcan.inside or crabcan.Inside
	or test_transcript_is_that_of_a_run or test_extension_is_hardened
	or test_readme_installs or test_soak"
export LD_PRELOAD="$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)"
export ASAN_OPTIONS="detect_leaks=0:log_path=$folder/logs/found" UBSAN_OPTIONS=print_stacktrace=1
status=0
.venv/bin/pytest -q -p no:cacheprovider -k "not ($(echo $left_out))" "$@" ||
	status=$?
findings="$(cat "$folder"/logs/* 2>/dev/null | grep -c 'ERROR\|runtime error' || true)"
echo "$findings findings of the sanitizers: $folder/logs"
[ "$status" -eq 0 ] && [ "$findings" -eq 0 ]
