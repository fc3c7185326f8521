#!/bin/sh
# GCC's analyzer, clang-tidy and cppcheck over all C of the core: any finding is an error.
# `tests/analyze.sh [PYTHON]`; needs gcc, musl-gcc, clang-tidy and cppcheck.
set -u
cd "$(dirname "$0")/.."
python="${1:-python3}"
include="$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')"
common="-std=c11 -D_GNU_SOURCE -DPy_LIMITED_API=0x030B0000 -DCRABCAN_INIT_PATH=\"/bin/true\""
headers="-idirafter /usr/include -idirafter /usr/include/$(gcc -print-multiarch)"
findings=0

# finding TOOL FILE COMMAND...: its output is what it has found.
finding() {
	tool="$1" file="$2"
	shift 2
	if ! text="$("$@" 2>&1)" || [ -n "$text" ]; then
		echo "$tool: $file"
		echo "$text"
		findings=$((findings + 1))
	fi
}

for file in csrc/host/*.c csrc/policy/*.c csrc/python/*.c; do
	# shellcheck disable=SC2086
	finding gcc "$file" gcc -fanalyzer -Werror -O2 $common -I"$include" -c "$file" -o /dev/null
done
for file in csrc/init/*.c; do
	# shellcheck disable=SC2086
	finding gcc "$file" musl-gcc $headers -fanalyzer -Werror -Os $common -c "$file" -o /dev/null
done
tidy() {
	# It counts suppressed warnings of system headers on stderr.
	clang-tidy --quiet "$@" -- $common -I"$include" 2>/dev/null
}
# shellcheck disable=SC2086
finding clang-tidy csrc tidy csrc/*/*.c
finding cppcheck csrc cppcheck -q --error-exitcode=1 --std=c11 --inline-suppr \
	--enable=warning,performance,portability -D_GNU_SOURCE -D__x86_64__ -DCRABCAN_INIT_PATH='"x"' \
	-DPy_BEGIN_ALLOW_THREADS='{' -DPy_END_ALLOW_THREADS='}' \
	-DPy_RETURN_NONE='return 0' -DPy_RETURN_TRUE='return 0' -DPy_RETURN_FALSE='return 0' csrc
echo "$(ls csrc/*/*.c | wc -l) files, $findings with findings"
[ "$findings" -eq 0 ]
