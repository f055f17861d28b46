#include "runtime/facts/host_devices.h"

#include "tests/host/temporary.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace microvmc::test {

namespace {

namespace fs = std::filesystem;

// A sysfs and a /dev as small as they come.
class FakeHost {
public:
    void write(const std::string& name, const std::string& text) const {
        fs::create_directories(fs::path(directory_ / name).parent_path());
        std::ofstream(directory_ / name) << text;
    }
    void link(const std::string& name, const std::string& to) const {
        fs::create_directories(fs::path(directory_ / name).parent_path());
        fs::create_symlink(to, directory_ / name);
    }
    [[nodiscard]] HostDeviceFacts device(const std::string& bus, const std::string& path) const {
        return host_device_facts(bus, path, sys(), directory_ / "dev");
    }
    [[nodiscard]] std::string sys() const { return directory_ / "sys"; }

private:
    TemporaryDirectory directory_;
};

HostDeviceFacts present() {
    return {true, {}, {}, false};
}

} // namespace

TEST(HostDevices, PciHasDriverGroupAndNode) {
    const FakeHost host;
    const std::string device = "sys/bus/pci/devices/0000:03:00.0/";
    host.write(device + "vendor", "0x10de\n");
    EXPECT_EQ(host.device("pci", "0000:03:00.0"), present());
    host.link(device + "driver", "../../../bus/pci/drivers/vfio-pci");
    host.link(device + "iommu_group", "../../../kernel/iommu_groups/12");
    EXPECT_EQ(host.device("pci", "0000:03:00.0"),
              (HostDeviceFacts{true, "vfio-pci", "12", false}));
    host.write("dev/vfio/12", "");
    EXPECT_TRUE(host.device("pci", "0000:03:00.0").accessible);
    for (const char* other : {"0000:03:00.1", "", ".", "..", "../devices/0000:03:00.0"}) {
        EXPECT_FALSE(host.device("pci", other).accessible) << other;
    }
    EXPECT_FALSE(host.device("isa", "0000:03:00.0").present);
}

TEST(HostDevices, UsbIsFoundByVendorAndProduct) {
    const FakeHost host;
    EXPECT_EQ(host.device("usb", "0bda:2838"), HostDeviceFacts{});
    host.write("sys/bus/usb/devices/usb1/idVendor", "1d6b\n");
    host.write("sys/bus/usb/devices/usb1/idProduct", "0002\n");
    host.write("sys/bus/usb/devices/1-2/idVendor", "0bda\n");
    host.write("sys/bus/usb/devices/1-2/idProduct", "2838\n");
    host.write("sys/bus/usb/devices/1-2/busnum", "1\n");
    host.write("sys/bus/usb/devices/1-2/devnum", "17\n");
    EXPECT_EQ(host.device("usb", "0bda:2838"), present());
    host.write("dev/bus/usb/001/017", "");
    EXPECT_TRUE(host.device("usb", "0bda:2838").accessible);
    EXPECT_FALSE(host.device("usb", "0bda:2839").present);
    EXPECT_FALSE(host.device("usb", "").present);
}

TEST(HostDevices, HugePagesBySize) {
    const FakeHost host;
    EXPECT_TRUE(huge_page_facts(host.sys()).empty());
    host.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "300\n");
    host.write("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "256\n");
    host.write("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "2\n");
    host.write("sys/kernel/mm/hugepages/hugepages-64kB/nr_hugepages", "9\n");
    host.write("sys/kernel/mm/hugepages/other", "");
    const auto sizes = huge_page_facts(host.sys());
    ASSERT_EQ(sizes.size(), 2U);
    EXPECT_EQ(sizes.at("2MiB"), (HugePageFacts{.total = 300, .free = 256}));
    EXPECT_EQ(sizes.at("1GiB"), (HugePageFacts{.total = 2, .free = 0}));
    EXPECT_EQ(default_huge_page("MemTotal: 5 kB\nHugepagesize:       2048 kB\nx\n"), "2MiB");
    EXPECT_EQ(default_huge_page("Hugepagesize:\n"), "");
    EXPECT_EQ(default_huge_page(""), "");
}

} // namespace microvmc::test
