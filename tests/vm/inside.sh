#!/bin/sh
# inside.sh HOME UID: what tests/vm/run.sh has the virtual machine run. The tests of limits and of
# the defaults with the installation in HOME: as root, and as an ordinary user in a group that is
# delegated to him as systemd does it (https://systemd.io/CGROUP_DELEGATION).
set -eu
home=$1
user=$2
groups=/sys/fs/cgroup
cd "$home"
run() { # USER COMMAND...
	as=$1
	shift
	setpriv --reuid "$as" --regid "$as" --clear-groups env -i PATH=/usr/bin:/bin HOME=/tmp \
		LANG=C.UTF-8 CRABCAN_MUST_RUN=1 "$@"
}
tests="tests/container/test_limits.py tests/container/test_defaults.py"
pytest="$home/venv/bin/pytest -q --color=no -p no:cacheprovider -o timeout=240"

echo "Linux $(uname -r), control groups of version 2: $(cat $groups/cgroup.controllers)"
# shellcheck disable=SC2086
run 0 $pytest --basetemp=/tmp/root $tests

for name in $(cat $groups/cgroup.controllers); do
	echo "+$name" > $groups/cgroup.subtree_control
done
for group in delegated delegated/session; do
	mkdir "$groups/$group"
	for file in . cgroup.procs cgroup.subtree_control cgroup.threads; do
		chown "$user" "$groups/$group/$file"
	done
done
echo $$ > $groups/delegated/session/cgroup.procs
# shellcheck disable=SC2086
run "$user" $pytest --basetemp=/tmp/user $tests
# That the limits were enforced, and not just refused as they should be without a delegation.
run "$user" "$home/venv/bin/crabcan" doctor | grep -E "ok +limit (memory|pids|cpus|cpu_time)" |
	grep -c . | grep -qx 4
[ "$(ls -d $groups/crabcan-* $groups/delegated/crabcan-* 2>/dev/null)" = "" ]
