#!/bin/sh
# Runs microvm-test inside a guest of ours, which is a host with what this one may lack: KVM, an IOMMU with a disk behind
# it to give away, vhost, vsock, huge pages, the controllers of cgroup v2. QEMU emulates an AMD processor that has guests
# of its own (target/i386/tcg/sysemu/svm_helper.c), at a speed that boots Debian's kernel in 5 to 15 s; with more than one
# such processor the guest stands still after some minutes.
# Usage: tests/specs/in_guest.sh BUILD ARGUMENT..., of microvm-test; specs beside this file are for such a guest alone.
set -eu
build=$(realpath "$1")
shift
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
printf 'passed through\n' >"$here/given"
truncate -s 1M "$here/given"
cat >"$here/inside" <<'END'
modprobe -a kvm_amd vhost_net vhost_vsock tun bridge vfio-pci virtio_pci virtio_blk
ip link set lo up
echo 200 >/proc/sys/vm/nr_hugepages
given=0000:00:1e.0
echo vfio-pci >/sys/bus/pci/devices/$given/driver_override
echo $given >/sys/bus/pci/devices/$given/driver/unbind
echo $given >/sys/bus/pci/drivers_probe
mkdir -p "$MICROVMC_RUNTIME_DIR"
exec "$@"
END
quoted() { printf '"%s", ' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')"; }
command=$(for word in sh -c "$(tr '\n' ';' <"$here/inside")" sh "$build/testkit/microvm-test" --jobs 1 "$@"; do quoted "$word"; done)
cat >"$here/microvm.toml" <<END
name = "in-guest"
[vm.host]
mem = "6GiB"
mem-max = "7GiB" # so that it has PCI
root.host = true
kernel-params = ["intel_iommu=on"]
volumes.scratch = { size = "8GiB", mount-point = "/scratch" } # /tmp takes no direct I/O
env.TMPDIR = "/scratch"
env.PATH = $(quoted "$PATH" | sed 's/, $//')
env.HOME = "/root"
env.LIBGUESTFS_BACKEND_SETTINGS = "force_tcg" # its firmware stands still there
env.MICROVMC_STATE_DIR = "/scratch/state"
env.MICROVMC_RUNTIME_DIR = "/run/runtime"
workdir = $(quoted "$PWD" | sed 's/, $//')
command = [$command]
[vm.host.qemu]
extra-args = ["-device", "intel-iommu,intremap=on,aw-bits=48", "-drive", "if=none,id=given,format=raw,file=$here/given", "-device", "virtio-blk-pci,drive=given,serial=given,iommu_platform=on,disable-legacy=on,addr=1e.0"]
END
MICROVMC_STATE_DIR="$here/state" MICROVMC_RUNTIME_DIR="$here/run" "$build/runtime/microvmc" run "$here/microvm.toml"
