#pragma once

#include "compiler/facts.h"

#include <map>
#include <string>

namespace microvmc {

/// A device of the host, as the user who asks can hand it to a guest: `bus` pci with a path like "0000:03:00.0", usb
/// with "0bda:2838". `sys` and `dev`: where sysfs and the device nodes are. Anything else is not present.
HostDeviceFacts host_device_facts(const std::string& bus, const std::string& path, const std::string& sys = "/sys",
                                  const std::string& dev = "/dev");

/// Huge pages by size ("2MiB"), as the kernel has set them aside.
std::map<std::string, HugePageFacts> huge_page_facts(const std::string& sys = "/sys");

/// The size that the kernel takes when none is said; empty: it has none. `meminfo`: the text of /proc/meminfo.
std::string default_huge_page(const std::string& meminfo);

} // namespace microvmc
