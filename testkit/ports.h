#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace microvmc::testkit {

/// Ports of this host for forwards: free when they are asked for, each given once before any is given again. They lie
/// below those that the kernel gives to clients by itself (ip(7), ip_local_port_range).
class Ports {
public:
    Ports();
    /// Throws Error when there are not so many.
    std::vector<std::uint16_t> take(std::size_t count);

private:
    std::uint16_t next_;
};

} // namespace microvmc::testkit
