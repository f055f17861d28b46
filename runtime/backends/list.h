#pragma once

namespace microvmc {

struct Backend;

extern const Backend qemu;

} // namespace microvmc
