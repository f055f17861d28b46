#!/bin/sh
# Runs specs on QEMU inside a guest of ours, which is a host with what this one may lack: vhost, vsock, huge pages and the
# controllers of cgroup v2. Emulation within emulation: a boot takes a minute. Usage: tests/specs/in_guest.sh BUILD SPEC...
set -eu
build=$(realpath "$1")
shift
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
specs=
for spec in "$@"; do specs="$specs, \"$(realpath "$spec")\""; done
cat >"$here/microvm.toml" <<END
name = "in-guest"
[vm.host]
vcpu = 2
mem = "5GiB"
root.host = true
env.MICROVMC_STATE_DIR = "/run/state"
env.MICROVMC_RUNTIME_DIR = "/run/runtime"
command = ["sh", "-c", "modprobe -a vhost_net vhost_vsock tun bridge; ip link set lo up; echo 200 > /proc/sys/vm/nr_hugepages; mkdir /run/state /run/runtime; exec \"\$@\"", "sh", "$build/testkit/microvm-test", "--hypervisor", "qemu", "--jobs", "1"$specs]
END
MICROVMC_STATE_DIR="$here/state" MICROVMC_RUNTIME_DIR="$here/run" "$build/runtime/microvmc" run "$here/microvm.toml"
