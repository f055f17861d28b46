#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"

#include "compiler/file_system.h"
#include "compiler/text.h"
#include "runtime/backend.h"
#include "runtime/error.h"
#include "runtime/terminal.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace microvmc {

namespace {

struct Finding {
    std::string subject;
    bool ok = true;
    std::string text;
    std::string remedy; ///< when not ok
};

std::string kvm_text(const KvmFacts& kvm) {
    switch (kvm.state) {
    case KvmState::works: return "works";
    case KvmState::missing:
    case KvmState::forbidden: return kvm.reason;
    case KvmState::incomplete: return "unusable: " + kvm.reason;
    }
    return {};
}

std::string kvm_remedy(const KvmFacts& kvm) {
    switch (kvm.state) {
    case KvmState::works: return {};
    case KvmState::missing:
        return "enable virtualisation in the firmware and load kvm_amd or kvm_intel; until then QEMU emulates (TCG)";
    case KvmState::forbidden:
        return "join the group that owns /dev/kvm (usually: adduser USER kvm); until then QEMU emulates (TCG)";
    case KvmState::incomplete: return "nothing to do when this host is a virtual machine itself; QEMU emulates (TCG)";
    }
    return {};
}

Finding tool_finding(const HostFacts& facts, const std::string& name, const std::string& purpose,
                     const std::string& install) {
    const auto found = facts.tools.find(name);
    if (found == facts.tools.end()) { return {name, false, "missing; " + purpose, install}; }
    const std::string& version = found->second.version;
    return {name, true, fmt::format("{}{}{}", found->second.path, version.empty() ? "" : " ", version), {}};
}

std::vector<Finding> findings(const HostFacts& facts) {
    std::vector<Finding> all;
    all.push_back(
        {"host",
         true,
         fmt::format("{}, {}, {} CPU{}, {} MiB, as {}", facts.hostname, facts.arch, facts.cpus,
                     facts.cpus == 1 ? "" : "s", facts.memory_mib, facts.uid == 0 ? "root" : "an ordinary user"),
         {}});
    all.push_back({"kvm", facts.kvm.state == KvmState::works, kvm_text(facts.kvm), kvm_remedy(facts.kvm)});
    all.push_back({"tsc", facts.tsc_khz != 0,
                   facts.tsc_khz != 0
                       ? fmt::format("{}.{:03} MHz, constant", facts.tsc_khz / 1000, facts.tsc_khz % 1000)
                       : "not constant, or its frequency is unknown",
                   "QEMU's q35 machine is used where microvm's clock would be unsafe"});
    for (const Backend* backend : backends()) {
        for (const Traits::Program& program : backend->traits.programs) {
            if (program.arch != facts.arch) { continue; }
            const Traits& traits = backend->traits;
            const std::string install =
                traits.install.empty() ? fmt::format("install {}", traits.title) : std::string(traits.install);
            Finding finding = tool_finding(facts, std::string(program.name), "runs machines", install);
            finding.subject = std::string(backend->traits.name);
            all.push_back(finding);
        }
    }
    for (const char* name : {"ext4", "xfs", "btrfs", "vfat"}) {
        const FileSystemInfo& made = *find_file_system(name);
        all.push_back(tool_finding(facts, std::string(made.mkfs), fmt::format("makes {} volumes", made.name),
                                   fmt::format("apt install {}", made.package)));
    }
    all.push_back(tool_finding(facts, std::string(image_program), "makes images that aren't raw",
                               fmt::format("apt install {}", image_package)));
    all.push_back(
        tool_finding(facts, "busybox", "is the userland of guests without a root", "apt install busybox-static"));
    if (facts.kernels.empty()) {
        all.push_back({"kernel", false, "none in /boot", "apt install linux-image-amd64, or name one with `kernel`"});
    }
    for (const KernelFacts& kernel : facts.kernels) {
        Finding finding{"kernel", true, kernel.path, {}};
        if (!kernel.readable) {
            finding = {"kernel", false, kernel.path + " may be read by root alone",
                       "chmod a+r it, or name another with `kernel`"};
        } else if (kernel.modules.empty()) {
            finding = {"kernel", false, kernel.path + " has no modules in /lib/modules", "install its modules"};
        }
        all.push_back(finding);
    }
    all.push_back({"guest init", !facts.guest_init.path.empty(),
                   facts.guest_init.path.empty() ? "not found beside the program" : facts.guest_init.path,
                   "reinstall microvmc, or set MICROVMC_LIBEXEC"});
    all.push_back({"state", true, facts.state_dir, {}});
    all.push_back({"runtime", true, facts.runtime_dir, {}});
    return all;
}

// Without these no machine can run.
bool is_needed(const Finding& finding) {
    constexpr std::array others{"kvm", "tsc", "mkfs.xfs", "mkfs.btrfs", "mkfs.vfat", "qemu-img"};
    return std::ranges::find(others, finding.subject) == others.end();
}

} // namespace

void add_doctor(CLI::App& app, Session& session) {
    CLI::App* command = app.add_subcommand("doctor", "Show what this host can do, what is missing, and the remedy");
    command->add_flag("--json", session.json, "Print the host's facts as JSON, for plan --facts");
    command->add_flag("--no-color", session.no_color, "Never colour the output");
    command->callback([&session] {
        const HostFacts facts = host_facts();
        if (session.json) {
            print(nlohmann::json(facts).dump(2) + "\n");
            return;
        }
        const bool colour = colour_on_stdout(session);
        std::vector<std::vector<std::string>> rows{{"", "WHAT", "FOUND"}};
        bool healthy = true;
        std::string remedies;
        for (const Finding& finding : findings(facts)) {
            rows.push_back({finding.ok           ? "ok"
                            : is_needed(finding) ? "!!"
                                                 : "--",
                            finding.subject, printable(finding.text)});
            if (finding.ok) { continue; }
            healthy = healthy && !is_needed(finding);
            remedies += fmt::format("{}: {}\n", finding.subject, finding.remedy);
        }
        print(render_table(rows, colour));
        if (!remedies.empty()) { print("\n" + remedies); }
        session.status = healthy ? exit_ok : exit_failure;
    });
}

} // namespace microvmc
