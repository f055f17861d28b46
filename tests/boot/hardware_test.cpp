// What the plan says of a guest's processors, memory, console and display, as the guest sees it.

#include "tests/boot/guest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <boost/asio.hpp>

#include <array>
#include <cstdlib>
#include <algorithm>
#include <filesystem>
#include <fstream>

namespace microvmc::boot {

namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::uint64_t total_mib(const std::string& machine) {
    return number_after(in_guest(machine, "cat /proc/meminfo"), "MemTotal:") / 1024;
}

} // namespace

TEST_F(OneMachine, HasSeveralProcessorsOfTheModel) {
    apply("vcpu = 3\ncpu = \"Haswell\"\n");
    EXPECT_EQ(guest("nproc"), "3\n");
    EXPECT_THAT(guest("grep -m1 'model name' /proc/cpuinfo"), HasSubstr("Intel Core Processor (Haswell"));
}

TEST_F(OneMachine, MemoryGrowsAndShrinksInPlace) {
    const auto keys = [](const std::string& mem) { return fmt::format("mem = \"{}\"\nmem-max = \"1GiB\"\n", mem); };
    apply(keys("256MiB"));
    const std::uint64_t small = total_mib(machine());
    const std::string boot = guest("cat /proc/sys/kernel/random/boot_id");
    const auto in_place = [&](const std::string& mem) {
        write(keys(mem));
        EXPECT_THAT(done({"plan", "microvm.toml"}), HasSubstr("~ a  in place"));
        done({"apply", "microvm.toml"}); // without --yes: it restarts nothing
        EXPECT_THAT(done({"apply", "microvm.toml"}), HasSubstr("Nothing to do"));
    };
    in_place("768MiB");
    EXPECT_GE(total_mib(machine()), small + 480);
    // It is memory: more than there was before fits.
    EXPECT_EQ(guest("mount -o remount,size=90% /run && dd if=/dev/zero of=/run/fill bs=1M count=400 2>/dev/null && "
                    "wc -c < /run/fill; rm /run/fill"),
              fmt::format("{}\n", 400 << 20));
    done({"snapshot", "a", "-p", "c"});
    in_place("384MiB");
    EXPECT_LE(total_mib(machine()), small + 140);
    EXPECT_EQ(guest("cat /proc/sys/kernel/random/boot_id"), boot);

    // A reboot keeps what it has now.
    reboot_guest();
    EXPECT_GE(total_mib(machine()), small + 100);
    EXPECT_LE(total_mib(machine()), small + 140);

    // A snapshot has as much as there was.
    done({"restore", "a", "--yes", "-p", "c"});
    EXPECT_GE(total_mib(machine()), small + 480);
    EXPECT_THAT(done({"apply", "microvm.toml"}), HasSubstr("mem  768MiB -> 384MiB"));
    EXPECT_LE(total_mib(machine()), small + 140);

    // Below what it booted with only a restart helps.
    write(keys("128MiB"));
    const Ran ran = cli.run({"apply", "microvm.toml"});
    EXPECT_EQ(ran.status, 1) << ran.out;
    EXPECT_THAT(ran.out, HasSubstr("! a  restart for mem"));
}

TEST_F(OneMachine, AVirtioConsoleIsTheConsole) {
    apply("console = \"virtio\"\ncommand = [\"sh\", \"-c\", \"echo to the console; tty; exec sleep 100000\"]\n"
          "ready.console = \"to the console\"\n");
    EXPECT_THAT(guest("cat /sys/class/tty/console/active"), HasSubstr("hvc0"));
    EXPECT_THAT(done({"logs", "a", "-p", "c"}), HasSubstr("/dev/hvc0"));
}

TEST_F(OneMachine, WithoutAConsoleItRunsAllTheSame) {
    apply("console = \"off\"\ncommand = [\"sh\", \"-c\", \"echo to nobody; exec sleep 100000\"]\n");
    EXPECT_THAT(guest("cat /sys/class/tty/console/active"), Not(HasSubstr("ttyS")));
    EXPECT_THAT(done({"logs", "a", "-p", "c"}), Not(HasSubstr("to nobody")));
    EXPECT_THAT(done({"stop", "a", "-p", "c"}), HasSubstr("powered off"));
}

TEST_F(OneMachine, ADisplayIsServedOverVnc) {
    apply("graphics = {}\n");
    const std::string socket = machine() + "/display.sock";
    EXPECT_EQ(std::filesystem::status(socket).type(), std::filesystem::file_type::socket);
    boost::asio::local::stream_protocol::iostream stream{boost::asio::local::stream_protocol::endpoint(socket)};
    stream.expires_after(std::chrono::seconds(10));
    std::array<char, 12> greeting{};
    stream.read(greeting.data(), greeting.size());
    EXPECT_EQ(std::string(greeting.data(), greeting.size()), "RFB 003.008\n"); // RFC 6143, 7.1.1
    EXPECT_THAT(guest("ls /sys/class/drm; cat /proc/bus/input/devices"), HasSubstr("card0"));
    EXPECT_THAT(guest("cat /proc/bus/input/devices"), HasSubstr("QEMU Virtio Keyboard"));
}

TEST_F(OneMachine, MemoryOnHugePages) {
    const std::string pages = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
    const auto number = [&pages](const char* name) {
        std::uint64_t value = 0;
        std::ifstream(pages + name) >> value;
        return value;
    };
    const std::uint64_t before = number("nr_hugepages");
    const auto set_aside = [&pages](std::uint64_t count) { std::ofstream(pages + "nr_hugepages") << count; };
    const std::uint64_t missing = 128 - std::min<std::uint64_t>(128, number("free_hugepages"));
    set_aside(before + missing);
    if (number("free_hugepages") < 128) {
        set_aside(before);
        GTEST_SKIP() << "this host gives no 256 MiB of huge pages";
    }
    const std::uint64_t free = number("free_hugepages");
    apply("mem = \"256MiB\"\nhugepages = \"2MiB\"\n");
    EXPECT_LE(number("free_hugepages"), free - 10) << "its memory is on other pages";
    EXPECT_LT(resident_mib(machine()), 200U) << "huge pages don't count as resident";
    // It has its pages already, so that nothing is missing.
    EXPECT_THAT(done({"plan", "microvm.toml"}), HasSubstr("Nothing to do"));
    done({"destroy", "--yes", "-p", "c"});
    EXPECT_EQ(number("free_hugepages"), free);
    set_aside(before);
}

// The rest of the language's memory keys need what this host may lack; it says so before anything is made.
TEST_F(OneMachine, WhatTheHostLacksIsSaidInThePlan) {
    write("hugepages = \"1GiB\"\nmem = \"1024GiB\"\nvsock.cid = 7\n"
          "devices.gpu = { bus = \"pci\", path = \"ffff:ff:1f.7\" }\n");
    const Ran ran = cli.run({"plan", "microvm.toml"});
    EXPECT_EQ(ran.status, 1);
    if (!std::filesystem::exists("/dev/vhost-vsock")) {
        EXPECT_THAT(ran.err, HasSubstr("this host has no /dev/vhost-vsock"));
    } else {
        EXPECT_THAT(ran.err, HasSubstr("huge pages of 1GiB"));
        EXPECT_THAT(ran.err, HasSubstr("this host has no PCI device ffff:ff:1f.7"));
    }
}

} // namespace microvmc::boot
