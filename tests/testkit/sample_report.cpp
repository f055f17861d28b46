#include "tests/testkit/sample_report.h"

#include <string>

namespace microvmc::testkit {

using namespace std::string_literals;

RunReport sample_report() {
    RunReport report;
    report.program_version = "0.1.0";
    report.host = "nas1";
    report.host_summary = "x86_64, TCG: KVM can't run cmpxchg16b";
    report.started = 1'795'000'000;
    report.duration_ms = 83'402;
    report.targets = {
        {"qemu", "tcg", "", "/usr/bin/qemu-system-x86_64", "7.2.22", "", false},
        {"qemu", "kvm", "/home/me/linux/vmlinux-6.12", "/usr/bin/qemu-system-x86_64", "7.2.22", "", true},
        {"firecracker", "", "", "", "", "firecracker is not installed", false},
    };
    const std::string tcg = report.targets[0].name();
    const std::string own = report.targets[1].name();
    const std::string other = report.targets[2].name();
    const auto passed = [](std::string spec, std::string name, std::string target, std::int64_t duration) {
        CaseResult result;
        result.spec = std::move(spec);
        result.name = std::move(name);
        result.target = std::move(target);
        result.duration_ms = duration;
        return result;
    };
    const auto skipped = [&](std::string spec, std::string name, std::string target, std::string why) {
        CaseResult result = passed(std::move(spec), std::move(name), std::move(target), 0);
        result.outcome = Outcome::skipped;
        result.message = std::move(why);
        return result;
    };
    const auto failed = [&](CaseResult result, Outcome outcome, std::string message, std::string where) {
        result.outcome = outcome;
        result.message = std::move(message);
        result.where = std::move(where);
        result.console = "a:\n[    1.203] EXT4-fs (vda): mounted filesystem\n[    1.310] microvmc: ready\n";
        result.command_lines = {"qemu-system-x86_64 -M microvm,acpi=on -append 'console=ttyS0 panic=-1'"};
        result.timeline = {{0, "boot a"}, {1'310, "step 1: guest sha256sum /data/blob"}, {1'398, result.message}};
        result.artifacts = "/tmp/microvm-test/" + result.spec;
        return result;
    };

    CaseResult boot = passed("boot", "", tcg, 2'210);
    boot.boot_ms = 1'890;
    boot.proves = {"accel.tcg", "kernel.elf"};
    CaseResult flaky = passed("boot", "", own, 2'400);
    flaky.boot_ms = 2'000;
    flaky.attempt = 2;
    report.results = {boot, flaky, skipped("boot", "", other, report.targets[2].unusable)};

    report.results.push_back(failed(passed("volumes", "fs=ext4,format=raw", tcg, 1'398), Outcome::wrong,
                                    "step 1: expected 3, got 4", "specs/volumes.toml:31:1"));
    report.results.push_back(passed("volumes", "fs=ext4,format=raw", own, 310));
    report.results.push_back(skipped("volumes", "fs=ext4,format=raw", other, report.targets[2].unusable));
    report.results.push_back(skipped("volumes", "fs=xfs,format=raw", tcg, "qemu: microvmc makes no xfs yet"));
    report.results.push_back(skipped("volumes", "fs=xfs,format=raw", own, "qemu: microvmc makes no xfs yet"));
    report.results.push_back(skipped("volumes", "fs=xfs,format=raw", other, report.targets[2].unusable));

    report.results.push_back(failed(passed("ends", "ending=panic", tcg, 3'100), Outcome::panic,
                                    "Kernel panic - not syncing: sysrq triggered crash", "specs/ends.toml:12:1"));
    report.results.push_back(failed(passed("ends", "ending=panic", own, 900), Outcome::crash,
                                    "qemu-system-x86_64 was killed by signal 11", "specs/ends.toml:12:1"));
    report.results.push_back(failed(passed("ends", "ending=stop", tcg, 60'000), Outcome::hang,
                                    "step 2: no answer within 1m", "specs/ends.toml:20:1"));
    report.results.push_back(failed(passed("ends", "ending=stop", own, 12), Outcome::error,
                                    "can't make /tmp/x/data.img: No space left on device", "specs/ends.toml:3:1"));
    report.results.push_back(skipped("ends", "ending=panic", other, report.targets[2].unusable));

    report.coverage = {
        {"accel.tcg", "qemu", "native", {"boot"}, ""},
        {"accel.kvm", "qemu", "native", {}, "KVM can't run cmpxchg16b here"},
        {"volume.raw", "qemu", "native", {}, ""},
        {"volume.raw", "firecracker", "native", {}, "firecracker is not installed"},
        {"share.9p", "qemu", "native", {"shares[proto=9p]", "shares[proto=auto]"}, ""},
        {"share.9p", "firecracker", "bridged", {}, "firecracker is not installed"},
    };
    return report;
}

RunReport hostile_report() {
    const std::string nasty = "\x1b[31m</script>]]><b a='\"'>&amp;\x00\x01\x7f\x85 \xff\xfe\xed\xa0\x80 \xef\xbf\xbf"
                              "\xef\xbf\xbe \xf4\x8f\xbf\xbf \xe2\x80\xae h\xc3\xa4t \xf0\x9f\x90\xa7\r\n\ttab"s;
    RunReport report = sample_report();
    report.host += nasty;
    report.host_summary += nasty;
    for (Target& target : report.targets) {
        target.version += nasty;
        target.program += nasty;
        if (!target.unusable.empty()) { target.unusable += nasty; }
    }
    for (CaseResult& result : report.results) {
        if (!result.name.empty()) { result.name += nasty; }
        if (result.outcome == Outcome::passed) { continue; }
        result.message += nasty;
        result.where += nasty;
        result.console += nasty;
        result.artifacts += nasty;
        result.command_lines.push_back(nasty);
        result.timeline.push_back({99, nasty});
    }
    for (CoverageCell& cell : report.coverage) {
        if (!cell.excuse.empty()) { cell.excuse += nasty; }
        for (std::string& name : cell.cases) { name += nasty; }
    }
    return report;
}

} // namespace microvmc::testkit
