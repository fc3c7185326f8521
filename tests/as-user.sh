#!/bin/sh
# Installs the package into a clean virtual environment and runs the tests there as an ordinary
# user, who is made for the run; then those of control groups in a virtual machine (tests/vm).
# Needs root; an ordinary user has run the tests already. Arguments are pytest's; without the machine
# then.
set -eu
[ "$(id -u)" = 0 ] || exit 0
top=$(cd "$(dirname "$0")/.." && pwd)
user=crabcan-test-$$
home=$(mktemp -d /var/tmp/crabcan-user.XXXXXX)
trap 'userdel "$user" 2>/dev/null || :; rm -rf --one-file-system "$home"' EXIT
useradd --no-create-home --home-dir "$home" --shell /bin/sh "$user"
# Debian's own Python: the caller's may lie where only root can read it.
/usr/bin/python3 -m venv "$home/venv"
"$home/venv/bin/pip" install -q "$top[test]"
for name in crabcan csrc docs tests LICENSE README.md SECURITY.md pyproject.toml setup.py; do
	cp -r "$top/$name" "$home/"
done
mkdir "$home/tmp"
chmod 755 "$home"
chown -R "$user" "$home/tmp" "$home/tests"
cd "$home"
setpriv --reuid "$user" --regid "$user" --clear-groups \
	env -i PATH=/usr/bin:/bin HOME="$home" TMPDIR="$home/tmp" LANG=C.UTF-8 CRABCAN_MUST_RUN=1 \
	"$home/venv/bin/pytest" -p no:cacheprovider "${@:-tests}"
[ $# -gt 0 ] || "$top/tests/vm/run.sh" "$home" "$(id -u "$user")"
