#pragma once

namespace microvmc {

struct Backend;

extern const Backend qemu;
extern const Backend cloud_hypervisor;
extern const Backend firecracker;
extern const Backend crosvm;
extern const Backend kvmtool;
extern const Backend stratovirt;
extern const Backend alioth;
extern const Backend vfkit;

} // namespace microvmc
