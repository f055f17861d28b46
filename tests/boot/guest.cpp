#include "tests/boot/guest.h"

#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/machine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <sys/mman.h>
#include <thread>

namespace microvmc::boot {

std::string in_guest(const std::string& runtime_dir, const std::string& command) {
    const Fd in(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const Fd out(::memfd_create("output", MFD_CLOEXEC));
    try {
        const int status =
            exec_in_machine(runtime_dir, {{"sh", "-c", command}, {}, {}, false}, {in.get(), out.get(), out.get()});
        EXPECT_EQ(status, 0) << command;
    } catch (const Error& error) { ADD_FAILURE() << command << ": " << error.what(); }
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t count = 0;
         (count = ::pread(out.get(), buffer.data(), buffer.size(), static_cast<off_t>(text.size()))) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return text;
}

std::uint64_t number_after(const std::string& text, const std::string& word) {
    const std::size_t at = text.find(word);
    return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + word.size(), nullptr, 10);
}

std::uint64_t mem_free_mib(const std::string& runtime_dir) {
    return number_after(in_guest(runtime_dir, "cat /proc/meminfo"), "MemFree:") / 1024;
}

std::uint64_t resident_mib(const std::string& runtime_dir) {
    const auto status = machine_status(runtime_dir);
    if (!status) { return 0; }
    std::ifstream file(fmt::format("/proc/{}/status", status->vmm));
    return number_after({std::istreambuf_iterator<char>(file), {}}, "VmRSS:") / 1024;
}

void OneMachine::reboot_guest() const {
    const std::uint32_t before = machine_status(machine())->reboots;
    guest("(sleep 1; reboot) > /dev/null 2>&1 &"); // once this has ended
    for (int i = 0; i < 900; ++i) {
        const auto status = machine_status(machine());
        if (status && status->reboots > before && status->agent) { return; }
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    ADD_FAILURE() << "it didn't reboot";
}

void OneMachine::write(const std::string& keys) const {
    cli.write("microvm.toml", "name = \"c\"\n[vm.a]\nstartup-timeout = 120\n" + keys);
}

void OneMachine::apply(const std::string& keys) const {
    write(keys);
    done({"apply", "--yes", "microvm.toml"});
}

std::string OneMachine::done(const std::vector<std::string>& args) const {
    const Ran ran = cli.run(args);
    EXPECT_EQ(ran.status, 0) << fmt::format("{}", fmt::join(args, " ")) << '\n' << ran.out << ran.err;
    return ran.out;
}

nlohmann::json OneMachine::status() const {
    return nlohmann::json::parse(done({"status", "--json", "microvm.toml"})).at("vms").at(0);
}

} // namespace microvmc::boot
