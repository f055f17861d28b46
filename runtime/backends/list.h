#pragma once

namespace microvmc {

struct Backend;

extern const Backend qemu;
extern const Backend cloud_hypervisor;
extern const Backend firecracker;

} // namespace microvmc
