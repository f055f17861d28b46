// Volumes of every kind, on real QEMU guests: what the guest sees of what the host made, and the other way round.

#include "runtime/machine.h"
#include "tests/boot/cli.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <sys/stat.h>
#include <thread>

namespace microvmc::boot {

namespace {

namespace fs = std::filesystem;

struct Kind {
    std::string fs;
    std::string format;
};

const std::vector<std::string> file_systems{"ext4", "ext3", "ext2", "xfs", "btrfs", "vfat"};
const std::vector<std::string> formats{"raw", "qcow2", "vhd", "vhdx"};

std::string driver(const std::string& format) {
    return format == "vhd" ? "vpc" : format;
}

std::string output(const std::vector<std::string>& argv) {
    const Ran ran = run_program(argv);
    EXPECT_EQ(ran.status, 0) << argv.front() << ": " << ran.out << ran.err;
    return ran.out;
}

std::string file_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

class Volumes : public ::testing::Test {
protected:
    [[nodiscard]] std::string image(const std::string& volume) const {
        return cli.state() + "/projects/disks/a/volumes/" + volume + ".img";
    }

    // Runs the machine to its end, which must be good, and returns its console.
    [[nodiscard]] std::string console_of_run(const std::string& text) const {
        cli.write("microvm.toml", "name = \"disks\"\n" + text);
        const Ran ran = cli.run({"apply", "--yes", "microvm.toml"});
        std::string console = file_text(cli.state() + "/projects/disks/a/console.log");
        EXPECT_EQ(ran.status, 0) << ran.out << ran.err << console;
        return console;
    }

    // The image as a raw one.
    [[nodiscard]] std::string raw_of(const std::string& path, const std::string& format) const {
        if (format == "raw") { return path; }
        std::string raw = cli.dir() + "/raw";
        output({"qemu-img", "convert", "-f", driver(format), "-O", "raw", path, raw});
        return raw;
    }

    // A file of one block at the top of a file system, by tools that mount nothing.
    [[nodiscard]] std::string read_out(const std::string& raw, const std::string& kind, const std::string& name) const {
        if (kind.starts_with("ext")) { return output({"debugfs", "-R", "cat /" + name, raw}); }
        if (kind == "vfat") { return output({"mtype", "-i", raw, "::/" + name}); }
        if (kind == "btrfs") {
            const std::string to = cli.dir() + "/restored";
            fs::create_directories(to);
            output({"btrfs", "restore", "--path-regex", "^/(|" + name + ")$", raw, to});
            std::string text = file_text(to + "/" + name);
            fs::remove_all(to);
            return text;
        }
        const std::string dump =
            output({"xfs_db", "-r", "-c", "path /" + name, "-c", "dblock 0", "-c", "type text", "-c", "print", raw});
        std::string text; // "000:  68 65 6c ...  hel..."
        for (std::size_t line = 0; line < dump.size(); line = dump.find('\n', line) + 1) {
            for (std::size_t i = 0; i < 16; ++i) {
                const int byte = std::stoi(dump.substr(dump.find(':', line) + 3 + i * 3, 2), nullptr, 16);
                if (byte == 0) { return text; }
                text += static_cast<char>(byte);
            }
        }
        return text;
    }

    void expect_clean(const std::string& raw, const std::string& kind) const {
        const std::map<std::string, std::vector<std::string>> checkers{
            {"xfs", {"xfs_repair", "-nf"}}, {"btrfs", {"btrfs", "check", "-q"}}, {"vfat", {"fsck.fat", "-n"}}};
        const auto its = checkers.find(kind);
        std::vector<std::string> argv = its == checkers.end() ? std::vector<std::string>{"e2fsck", "-fn"} : its->second;
        argv.push_back(raw);
        output(argv);
    }

    // What a new volume gets `files/hello` by, where its mkfs can.
    [[nodiscard]] std::string preload(const std::string& kind) const {
        if (kind.starts_with("ext")) { return fmt::format(R"(, mkfs-args = ["-d", "{}/files"])", cli.dir()); }
        if (kind == "btrfs") { return fmt::format(R"(, mkfs-args = ["--rootdir", "{}/files"])", cli.dir()); }
        if (kind == "xfs") { return fmt::format(R"(, mkfs-args = ["-p", "{}/proto"])", cli.dir()); }
        return {};
    }

    Cli cli;
};

std::string name_of(const Kind& kind) {
    return kind.fs + "-" + kind.format;
}

} // namespace

TEST_F(Volumes, EveryFileSystemInEveryFormatInBothDirections) {
    cli.write("files/hello", "hello from the host\n");
    cli.write("proto", fmt::format("/x\n0 0\nd--755 0 0\nhello ---644 0 0 {}/files/hello\n$\n", cli.dir()));
    std::vector<Kind> kinds;
    for (const std::string& each : file_systems) {
        for (const std::string& format : formats) { kinds.push_back({each, format}); }
    }
    fs::create_directories(cli.state() + "/projects/disks/a/volumes");
    std::string text = "[vm.a]\nmem = \"384MiB\"\nready.exit = 0\n";
    std::string script = "set -e\n";
    for (const Kind& kind : kinds) {
        const std::string name = name_of(kind);
        text += fmt::format(
            "volumes.{0} = {{ size = 64, fs-type = \"{1}\", format = \"{2}\", mount-point = \"/{0}\"{3} }}\n", name,
            kind.fs, kind.format, preload(kind.fs));
        script +=
            fmt::format("grep -q 'hello from the host' /{0}/hello; echo 'from the guest, on {0}' > /{0}/out\n", name);
        if (kind.fs != "vfat") { continue; } // its mkfs copies nothing, so that the image is there before
        const std::string raw = cli.dir() + "/fat";
        fs::remove(raw);
        output({"mkfs.vfat", "-C", raw, "65536"});
        output({"mcopy", "-i", raw, cli.dir() + "/files/hello", "::/hello"});
        output({"qemu-img", "convert", "-f", "raw", "-O", driver(kind.format), "-o",
                kind.format == "vhd" ? "force_size=on" : "size=64M", raw, image(name)});
    }
    script += "cat /proc/mounts\necho all seen\n";
    cli.write("files/check.sh", script);
    text +=
        fmt::format("shares.f = {{ source = \"files\", mount-point = \"/f\" }}\ncommand = [\"sh\", \"/f/check.sh\"]\n");
    const std::string console = console_of_run(text);
    EXPECT_NE(console.find("all seen"), std::string::npos) << console;
    for (const Kind& kind : kinds) {
        SCOPED_TRACE(name_of(kind));
        EXPECT_NE(console.find(fmt::format(" /{} {} rw", name_of(kind), kind.fs)), std::string::npos);
        const std::string raw = raw_of(image(name_of(kind)), kind.format);
        EXPECT_EQ(read_out(raw, kind.fs, "out"), fmt::format("from the guest, on {}\n", name_of(kind)));
        expect_clean(raw, kind.fs);
    }
}

TEST_F(Volumes, GrowWithTheirFileSystemsAndKeepTheirData) {
    std::vector<Kind> kinds;
    for (const std::string& each : file_systems) {
        if (each == "vfat") { continue; }
        kinds.push_back({each, "raw"});
        kinds.push_back({each, "qcow2"});
    }
    const auto text = [&](int size, const std::string& script) {
        std::string made = "[vm.a]\nmem = \"384MiB\"\nready.exit = 0\n";
        for (const Kind& kind : kinds) {
            made += fmt::format(
                "volumes.{0} = {{ size = {3}, fs-type = \"{1}\", format = \"{2}\", mount-point = \"/{0}\" }}\n",
                name_of(kind), kind.fs, kind.format, size);
        }
        return made + "command = [\"sh\", \"-ec\", '''" + script + "''']\n";
    };
    const std::string each = "for v in /ext* /xfs* /btrfs*; do ";
    std::string console = console_of_run(text(280, each + "echo kept > $v/out; done; df -m"));
    console = console_of_run(text(420, each + "grep -q kept $v/out; echo \"size $v $(stat -f -c '%b %S' $v)\"; done"));
    for (const Kind& kind : kinds) {
        SCOPED_TRACE(name_of(kind));
        const std::string line = fmt::format("size /{} ", name_of(kind));
        const std::size_t at = console.find(line);
        ASSERT_NE(at, std::string::npos) << console;
        std::istringstream numbers(console.substr(at + line.size()));
        std::uint64_t blocks = 0;
        std::uint64_t block_bytes = 0;
        numbers >> blocks >> block_bytes;
        EXPECT_GT(blocks * block_bytes, 350U << 20U) << console.substr(at, 60);
        const std::string raw = raw_of(image(name_of(kind)), kind.format);
        EXPECT_EQ(fs::file_size(raw), 420U << 20U);
        EXPECT_EQ(read_out(raw, kind.fs, "out"), "kept\n");
        expect_clean(raw, kind.fs);
    }
}

TEST_F(Volumes, SixteenOnOneMachineEachInItsPlace) {
    std::string text = "[vm.a]\nready.exit = 0\ncommand = [\"sh\", \"-ec\", 'for i in $(seq 16); do echo $i > /v$i/n; "
                       "done; ls /sys/block | wc -l']\n";
    for (int i = 1; i <= 16; ++i) {
        text += fmt::format("volumes.v{0} = {{ size = {1}, mount-point = \"/v{0}\", serial = \"serial-{0}\" }}\n", i,
                            15 + i);
    }
    const std::string console = console_of_run(text);
    EXPECT_NE(console.find("16"), std::string::npos) << console;
    const nlohmann::json plan = nlohmann::json::parse(file_text(cli.state() + "/projects/disks/a/plan.json"));
    EXPECT_EQ(plan.at("machine"), "microvm");
    for (int i = 1; i <= 16; ++i) {
        EXPECT_EQ(read_out(image(fmt::format("v{}", i)), "ext4", "n"), fmt::format("{}\n", i));
    }
}

TEST_F(Volumes, AReadOnlyOneIsNotWrittenWhateverTheGuestDoes) {
    cli.write("files/hello", "hello from the host\n");
    const std::string toml = fmt::format(R"toml([vm.a]
volumes.d = {{ size = 32, mount-point = "/d", read-only = true, mkfs-args = ["-d", "{}/files"] }}
volumes.q = {{ size = 32, mount-point = "/q", read-only = true, format = "qcow2" }}
ready.exit = 0
command = ["sh", "-c", '''
cat /d/hello
grep -E ' /(d|q) ' /proc/mounts
mount -o remount,rw /d; touch /d/x; mount -o remount,rw /q; touch /q/x; umount /d /q
for disk in vda vdb; do
    echo "$disk is $(cat /sys/block/$disk/ro)"
    blockdev --setrw /dev/$disk
    dd if=/dev/zero of=/dev/$disk bs=4096 count=100 conv=fsync && echo written
done
exit 0
''']
)toml",
                                         cli.dir());
    // Made, then looked at, then booted: the first boot makes them.
    std::string console = console_of_run(toml);
    const std::string before = output({"sha256sum", image("d"), image("q")});
    console = console_of_run(toml + "kernel-params = [\"again\"]\n");
    EXPECT_EQ(output({"sha256sum", image("d"), image("q")}), before);
    EXPECT_NE(console.find("hello from the host"), std::string::npos) << console;
    EXPECT_NE(console.find(" /d ext4 ro"), std::string::npos) << console;
    EXPECT_NE(console.find(" /q ext4 ro"), std::string::npos) << console;
    EXPECT_NE(console.find("vda is 1"), std::string::npos) << console;
    EXPECT_EQ(console.find("written"), std::string::npos) << console;
    for (const auto& [name, format] : {std::pair{"d", "raw"}, std::pair{"q", "qcow2"}}) {
        expect_clean(raw_of(image(name), format), "ext4");
    }
}

TEST_F(Volumes, OddTextArrivesAsItIs) {
    // Serial, mount point and path of the image: what QEMU's options, a kernel's command line or a shell might take
    // for something else.
    const std::string odd = R"(a,b c=d "e" '%s)";
    const std::string directory = cli.dir() + R"(/im,a=g "e" %n (x) é)";
    fs::create_directory(directory);
    std::string text = "[vm.a]\nready.exit = 0\n";
    text += fmt::format(
        "volumes.d = {{ image = '''{}/d,driver=null-co.img''', size = 16, serial = '''{}''', label = '''{}''', "
        "mount-point = '''/mnt/{} é''', mount-options = [\"noatime\", \"commit=30\"] }}\n",
        directory, odd, odd, odd);
    text += fmt::format("volumes.q = {{ image = '''{}/json:{{}}''', size = 16, format = \"qcow2\", serial = \"é%n,,\", "
                        "mount-point = \"/q\" }}\n",
                        directory);
    text += "command = [\"sh\", \"-ec\", '''for d in vda vdb; do echo \"serial <$(cat /sys/block/$d/serial)>\"; done; "
            "cd /mnt/a*; echo arrived > out; echo arrived > /q/out; cat /proc/mounts''']\n";
    const std::string console = console_of_run(text);
    EXPECT_NE(console.find("serial <" + odd + ">"), std::string::npos) << console;
    EXPECT_NE(console.find("serial <é%n,,>"), std::string::npos) << console;
    EXPECT_NE(console.find(R"(/mnt/a,b\040c=d\040"e"\040'%s\040é ext4 rw,noatime,commit=30)"), std::string::npos)
        << console;
    EXPECT_EQ(read_out(directory + "/d,driver=null-co.img", "ext4", "out"), "arrived\n");
    EXPECT_EQ(output({"e2label", directory + "/d,driver=null-co.img"}), odd + "\n");
    EXPECT_EQ(read_out(raw_of(directory + "/json:{}", "qcow2"), "ext4", "out"), "arrived\n");
    EXPECT_TRUE(cli.leftovers().empty());
}

TEST_F(Volumes, GrowWhileTheMachineRuns) {
    const std::vector<Kind> kinds{{"ext4", "raw"}, {"xfs", "qcow2"}, {"btrfs", "raw"}, {"ext3", "qcow2"}};
    const auto text = [&](int size) {
        std::string made = "name = \"disks\"\n[vm.a]\n";
        for (const Kind& kind : kinds) {
            made += fmt::format(
                "volumes.{0} = {{ size = {3}, fs-type = \"{1}\", format = \"{2}\", mount-point = \"/{0}\" }}\n",
                name_of(kind), kind.fs, kind.format, size);
        }
        return made;
    };
    const auto in_guest = [&](const std::string& script) {
        return run_in_machine(cli.runtime() + "/disks/a", {.argv = {"sh", "-c", script}, .env = {}, .workdir = {}}).out;
    };
    cli.write("microvm.toml", text(64));
    Ran ran = cli.run({"apply", "--yes", "microvm.toml"});
    ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
    in_guest("for v in /ext4* /ext3* /xfs* /btrfs*; do echo kept > $v/out; done; sync");
    const std::string boot = in_guest("cat /proc/sys/kernel/random/boot_id");

    cli.write("microvm.toml", text(288));
    ran = cli.run({"plan", "microvm.toml"});
    EXPECT_NE(ran.out.find("1 in place"), std::string::npos) << ran.out;
    ran = cli.run({"apply", "microvm.toml"}); // disrupts nothing, so it needs no --yes
    ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
    for (const Kind& kind : kinds) {
        SCOPED_TRACE(name_of(kind));
        std::uint64_t mib = 0;
        for (int i = 0; i < 300 && mib < 250; ++i) { // the kernel tells the guest's init of it
            std::istringstream numbers(in_guest("stat -f -c '%b %S' /" + name_of(kind)));
            std::uint64_t blocks = 0;
            std::uint64_t block_bytes = 0;
            numbers >> blocks >> block_bytes;
            mib = blocks * block_bytes >> 20U;
            if (mib < 250) { std::this_thread::sleep_for(std::chrono::milliseconds(100)); }
        }
        EXPECT_GE(mib, 250U) << file_text(cli.state() + "/projects/disks/a/console.log");
        EXPECT_EQ(in_guest("cat /" + name_of(kind) + "/out"), "kept\n");
    }
    EXPECT_EQ(in_guest("cat /proc/sys/kernel/random/boot_id"), boot);
    ran = cli.run({"plan", "--detailed-exitcode", "microvm.toml"});
    EXPECT_EQ(ran.status, 0) << ran.out;
    ran = cli.run({"stop", "microvm.toml"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    for (const Kind& kind : kinds) {
        const std::string raw = raw_of(image(name_of(kind)), kind.format);
        EXPECT_EQ(fs::file_size(raw), 288U << 20U);
        EXPECT_EQ(read_out(raw, kind.fs, "out"), "kept\n");
        expect_clean(raw, kind.fs);
    }
}

TEST_F(Volumes, WhatTheyStartFromStaysAsItIs) {
    cli.write("files/hello", "hello from the host\n");
    output({"mke2fs", "-q", "-t", "ext4", "-d", cli.dir() + "/files", cli.dir() + "/base.img", "32M"});
    output({"qemu-img", "convert", "-f", "raw", "-O", "qcow2", cli.dir() + "/base.img", cli.dir() + "/base.qcow2"});
    const std::string sums = output({"sha256sum", cli.dir() + "/base.img", cli.dir() + "/base.qcow2"});
    const std::string console = console_of_run(R"toml([vm.a]
ready.exit = 0
volumes.over = { format = "qcow2", backing = "base.qcow2", size = 64, mount-point = "/over" }
volumes.over-raw = { format = "qcow2", backing = "base.img", backing-format = "raw", mount-point = "/over-raw" }
volumes.copy = { backing = "base.img", size = 64, mount-point = "/copy" }
volumes.other = { format = "vhdx", backing = "base.qcow2", backing-format = "qcow2", mount-point = "/other" }
command = ["sh", "-ec", '''
for v in /over /over-raw /copy /other; do
    grep -q host $v/hello
    echo mine > $v/hello
    echo "$v has $(($(stat -f -c '%b * %S' $v) >> 20))"
done
''']
)toml");
    EXPECT_NE(console.find("/over has 5"), std::string::npos) << console;
    EXPECT_NE(console.find("/over-raw has 2"), std::string::npos) << console;
    EXPECT_NE(console.find("/copy has 5"), std::string::npos) << console;
    EXPECT_EQ(output({"sha256sum", cli.dir() + "/base.img", cli.dir() + "/base.qcow2"}), sums);
    for (const auto& [name, format] : {std::pair{"over", "qcow2"}, std::pair{"over-raw", "qcow2"},
                                       std::pair{"copy", "raw"}, std::pair{"other", "vhdx"}}) {
        const std::string raw = raw_of(image(name), format);
        EXPECT_EQ(read_out(raw, "ext4", "hello"), "mine\n") << name;
        expect_clean(raw, "ext4");
    }
    EXPECT_LT(fs::file_size(image("over")), 12U << 20U);
}

TEST_F(Volumes, TwoProjectsNeverWriteOneImage) {
    const auto project = [&](const std::string& name, const std::string& more) {
        return cli.write(name + ".toml",
                         fmt::format("name = \"{}\"\n[vm.a]\nvolumes.d = {{ image = \"d.img\", size = 32, "
                                     "mount-point = \"/d\"{} }}\n",
                                     name, more));
    };
    const auto expect = [&](const std::vector<std::string>& args, const std::string& error) {
        const Ran ran = cli.run(args);
        EXPECT_EQ(ran.status, error.empty() ? 0 : 1) << ran.out << ran.err;
        EXPECT_NE(ran.err.find(error), std::string::npos) << ran.err;
    };
    expect({"apply", "--yes", project("one", "")}, "");
    expect({"stop", "-p", "one"}, "");
    expect({"apply", "--yes", project("two", "")}, "");

    expect({"plan", "one.toml"}, "d.img is used by two/a, and `a` would write it");
    expect({"start", "-p", "one", "a"}, "another machine uses it"); // goes by its record, without a plan
    expect({"plan", project("three", ", read-only = true")}, "would read it while it is written");

    expect({"stop", "-p", "two"}, "");
    expect({"apply", "--yes", "three.toml"}, "");
    expect({"apply", "--yes", project("four", ", read-only = true")}, "");
    expect({"apply", "--yes", "one.toml"}, "E0604");
    expect_clean(cli.dir() + "/d.img", "ext4");
}

TEST_F(Volumes, FreedBlocksComeBackWhereTheyAreAskedFor) {
    const std::string console = console_of_run(R"toml([vm.a]
ready.exit = 0
volumes.raw-true = { size = 96, discard = true, mount-point = "/raw-true" }
volumes.raw-false = { size = 96, mount-point = "/raw-false" }
volumes.qcow2-true = { size = 96, format = "qcow2", discard = true, mount-point = "/qcow2-true" }
volumes.qcow2-false = { size = 96, format = "qcow2", mount-point = "/qcow2-false" }
command = ["sh", "-ec", '''
for v in /raw* /qcow2*; do dd if=/dev/urandom of=$v/f bs=1M count=48; done
sync
rm /raw*/f /qcow2*/f
sync
cat /proc/mounts
''']
)toml");
    for (const std::string format : {"raw", "qcow2"}) {
        for (const bool discard : {true, false}) {
            struct stat status {};
            ASSERT_EQ(::stat(image(fmt::format("{}-{}", format, discard)).c_str(), &status), 0);
            const auto mib = status.st_blocks * 512 >> 20;
            EXPECT_EQ(mib < 24, discard) << format << ": " << mib << " MiB\n" << console;
        }
    }
}

} // namespace microvmc::boot
