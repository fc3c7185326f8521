#!/bin/sh
# boot.sh KERNEL COMMAND: run a command as root in a throw-away virtual machine, by software
# emulation, whose control groups are version 2 with every controller. KERNEL is a directory into
# which a Debian kernel package has been unpacked. The machine's files are this one's, read-only,
# below an overlay in memory. Exit status: the command's; 125 if the machine never got so far.
set -eu
kernel=$1
command=$2
version=$(ls "$kernel/lib/modules")
modules=$kernel/lib/modules/$version
work=$(mktemp -d /var/tmp/crabcan-vm.XXXXXX)
share=
tidy() {
	trap - EXIT
	[ -z "$share" ] || { kill "$share" 2>/dev/null || :; wait "$share" 2>/dev/null || :; }
	rm -rf --one-file-system "$work"
}
trap tidy EXIT

# --- the first file system: busybox, the modules for the share, and a script that is process 1
mkdir -p "$work/init/bin" "$work/top"
cp /bin/busybox "$work/init/bin/"
add_module() {
	file=$(find "$modules" -name "$1.ko*" | head -n 1)
	[ -n "$file" ] || return 0 # built in
	case $file in
	*.xz) xz -dc "$file" > "$work/init/$1.ko" ;;
	*) cp "$file" "$work/init/$1.ko" ;;
	esac
	# What it needs is written in it: modules.dep is made when a kernel is installed.
	for needed in $(tr '\0' '\n' < "$work/init/$1.ko" | sed -n 's/^depends=//p' | tr ',' ' '); do
		[ -e "$work/init/$needed.ko" ] || (add_module "$needed")
	done
	echo "$1" >> "$work/order"
}
for name in virtio_pci virtiofs overlay; do
	add_module "$name"
done
printf '%s\n' "$command" > "$work/init/command"
cat > "$work/init/init" <<END
#!/bin/busybox sh
for module in $(tr '\n' ' ' < "$work/order"); do /bin/busybox insmod /\$module.ko; done
exec /bin/busybox sh /second
END
cat > "$work/init/second" <<'END'
export PATH=/bin
b=/bin/busybox
die() { $b echo "$1"; $b poweroff -f; }
$b mkdir -p /proc /low /memory /new
$b mount -t virtiofs -o ro tree /low || die "no share"
$b mount -t tmpfs memory /memory && $b mkdir /memory/upper /memory/work
$b mount -t overlay -o lowerdir=/low,upperdir=/memory/upper,workdir=/memory/work root /new ||
	die "no overlay"
for name in proc sys dev tmp run var/tmp; do $b mkdir -p /new/$name; done
$b mount -t proc proc /new/proc
$b mount -t sysfs sys /new/sys
$b mount -t devtmpfs dev /new/dev
$b mkdir -p /new/dev/pts /new/dev/shm
$b mount -t devpts -o ptmxmode=666 devpts /new/dev/pts
for name in run tmp dev/shm; do $b mount -t tmpfs -o mode=1777 tmpfs /new/$name; done
$b mount -t cgroup2 -o nsdelegate cgroup2 /new/sys/fs/cgroup
$b cp /command /new/run/command
$b cat > /new/run/third <<'INNER'
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
ip link set lo up 2>/dev/null
stty -F /dev/ttyS1 -opost 2>/dev/null
sh /run/command </dev/null >/dev/ttyS1 2>&1
echo $? > /dev/ttyS2
sync
echo o > /proc/sysrq-trigger
sleep 60
INNER
exec $b switch_root /new /bin/sh /run/third
END
chmod +x "$work/init/init"
(cd "$work/init" && find . | cpio -o -H newc -R 0:0 --quiet) > "$work/initrd"

# --- the share: read-only already where the server sees it
unshare --mount --propagation private sh -c '
	mount --bind / "$1" && mount -o remount,bind,ro "$1" &&
	exec /usr/lib/qemu/virtiofsd --socket-path="$2" -o source="$1" -o cache=always \
		-o sandbox=chroot --rlimit-nofile=0' sh "$work/top" "$work/socket" > "$work/share.log" 2>&1 &
share=$!
tries=0
while [ ! -S "$work/socket" ] && [ $tries -lt 200 ]; do sleep 0.05; tries=$((tries + 1)); done

# --- the machine; cmpxchg16b in QEMU 7.2's emulation makes guests crash at random
timeout "${CRABCAN_VM_TIMEOUT:-300}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max,-cx16 \
	-smp 2 -m 1536 -machine q35,memory-backend=memory \
	-object memory-backend-memfd,id=memory,size=1536M,share=on \
	-nodefaults -no-user-config -display none -no-reboot \
	-chardev socket,id=share,path="$work/socket" -device vhost-user-fs-pci,chardev=share,tag=tree \
	-kernel "$kernel/boot/vmlinuz-$version" -initrd "$work/initrd" \
	-append "console=ttyS0 quiet panic=-1 lsm=landlock" \
	-serial "file:$work/console" -chardev stdio,id=output,signal=off -serial chardev:output \
	-serial "file:$work/status" </dev/null || :
status=$(tr -dc 0-9 < "$work/status" 2>/dev/null || :)
[ -n "$status" ] || tail -n 30 "$work/console" "$work/share.log" >&2 || :
exit "${status:-125}"
