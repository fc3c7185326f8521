#!/bin/sh
# run.sh HOME UID: runs inside.sh in a virtual machine, with the kernel package that `make packages`
# has fetched. Where there is none the reason is told, and CRABCAN_MUST_RUN=1 makes it a failure.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=$here/../../.cache/vm
cannot() {
	echo "tests/vm: skipped: $1" >&2
	echo "  by hand: make kernel && make test" >&2
	[ "${CRABCAN_MUST_RUN:-0}" != 1 ]
	exit
}
[ "$(id -u)" = 0 ] || cannot "the share of a virtual machine is mounted by root"
[ "$(uname -m)" = x86_64 ] || cannot "only the kernel for x86_64 is fetched"
for program in qemu-system-x86_64 /usr/lib/qemu/virtiofsd cpio busybox; do
	command -v "$program" >/dev/null || cannot "$program is not installed"
done
package=$(ls "$cache"/linux-image-*.deb 2>/dev/null | head -n 1)
[ -n "$package" ] || cannot "no kernel package in .cache/vm"
kernel=$(mktemp -d /var/tmp/crabcan-kernel.XXXXXX)
trap 'rm -rf --one-file-system "$kernel"' EXIT
dpkg -x "$package" "$kernel"
# By the copy in HOME: this checkout may lie in /tmp, which is the machine's own.
"$here/boot.sh" "$kernel" "sh '$1/tests/vm/inside.sh' '$1' '$2'"
