// What each of docs/examples shows, as its text is, but for ports of the host and the time that emulation takes.

#include "tests/boot/cloud_image.h"
#include "tests/boot/debian.h"
#include "tests/boot/guest.h"
#include "tests/boot/on_kvm.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/utsname.h>

namespace microvmc::boot {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Examples : public ::testing::Test {
protected:
    /// A copy of the example, where what it needs is put.
    void use(const std::string& name) {
        name_ = name;
        fs::copy(std::string(TEST_SOURCE_DIR) + "/docs/examples/" + name, cli.dir() + "/" + name,
                 fs::copy_options::recursive);
    }
    [[nodiscard]] std::string path(const std::string& file) const { return cli.dir() + "/" + name_ + "/" + file; }
    /// Has any port of the host instead of the one that it names.
    void free_port(const std::string& forward, int guest_port) {
        std::ifstream in(path("microvm.toml"));
        std::string text{std::istreambuf_iterator<char>(in), {}};
        const std::string said = "\"" + forward + "\"";
        const std::size_t at = text.find(said);
        ASSERT_NE(at, std::string::npos);
        text.replace(at, said.size(), fmt::format("{{ guest.port = {} }}", guest_port));
        cli.write(name_ + "/microvm.toml", text);
    }
    void apply(const std::string& over) {
        cli.write("over.toml", over);
        const Ran ran = cli.run({"apply", "--yes", "-f", path("microvm.toml"), "-f", "over.toml"}, 12min);
        ASSERT_EQ(ran.status, 0) << ran.out << ran.err << cli.run({"logs", "-p", name_}).out;
    }
    std::string done(std::vector<std::string> args) {
        args.insert(args.end(), {"-p", name_});
        const Ran ran = cli.run(args);
        EXPECT_EQ(ran.status, 0) << fmt::format("{}", args.front()) << ran.out << ran.err;
        return ran.out;
    }
    nlohmann::json status() { return nlohmann::json::parse(done({"status", "--json"})).at("vms").at(0); }
    std::uint16_t port() {
        return status().at("plan").at("interfaces").at(0).at("forwards").at(0).at("host-port").get<std::uint16_t>();
    }
    [[nodiscard]] std::string machine(const std::string& vm) const { return cli.runtime() + "/" + name_ + "/" + vm; }

    Cli cli;
    std::string name_;
};

class ExamplesOnKvm : public Examples, public ::testing::WithParamInterface<OnKvm> {};

} // namespace

TEST_P(ExamplesOnKvm, HasItsShareAndItsVolume) {
    if (const std::string why = unusable(GetParam()); !why.empty()) { GTEST_SKIP() << why; }
    use(std::string(GetParam().name) + "-example");
    std::vector<std::string> args{"run", path("microvm.toml")};
    if (const std::string kernel = kernel_for(GetParam()); !kernel.empty()) {
        args.insert(args.end(), {"--kernel", kernel});
    }
    const Ran ran = cli.run(args, 6min);
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("A page of the host."));
    EXPECT_THAT(ran.out, HasSubstr("1\r\n")) << "the volume is there, and is written";
}
INSTANTIATE_TEST_SUITE_P(Hypervisors, ExamplesOnKvm, ::testing::ValuesIn(all_on_kvm));

TEST_F(Examples, DebianNginxServesAPageOfTheHost) {
    std::string why_not;
    const std::string root = debian_root(why_not);
    if (root.empty()) { GTEST_SKIP() << "no Debian root: " << why_not; }
    use("debian-nginx");
    free_port("8081:80", 80);
    fs::create_symlink(root, path("rootfs.tar"));
    apply("[vm.web]\nstartup-timeout = 500\nkernel-params = [\"systemd.wants=nginx.service\"]\n");
    EXPECT_THAT(http_get(port(), "/"), HasSubstr("A page of the host, served by nginx"));
    EXPECT_THAT(in_guest(machine("web"), "readlink /proc/1/exe; systemctl is-active nginx"),
                HasSubstr("systemd\nactive"));
    cli.write("debian-nginx/www/index.html", "changed on the host\n");
    EXPECT_EQ(http_get(port(), "/"), "changed on the host\n");
    EXPECT_THAT(done({"stop"}), HasSubstr("powered off"));
}

TEST_F(Examples, PostgresVolumeKeepsARow) {
    std::string why_not;
    const std::string root = debian_root(why_not);
    if (root.empty()) { GTEST_SKIP() << "no Debian root: " << why_not; }
    use("postgres-volume");
    fs::create_symlink(root, path("rootfs.tar"));
    apply("[vm.db]\nstartup-timeout = 500\nkernel-params = [\"systemd.wants=postgresql.service\"]\n");
    const auto sql = [this](const std::string& statement) {
        return in_guest(machine("db"), fmt::format("cd /; runuser -u postgres -- psql -qAtc \"{}\"", statement));
    };
    sql("create table t (x text); insert into t values ('survives')");
    done({"stop", "--kill"});
    EXPECT_EQ(status().at("end").at("kind"), "killed");
    done({"start"});
    EXPECT_EQ(sql("select x from t"), "survives\n");
    sql("insert into t values ('a stop as well')");
    EXPECT_THAT(done({"stop"}), HasSubstr("powered off"));
    done({"start"});
    EXPECT_EQ(sql("select x from t order by x"), "a stop as well\nsurvives\n");

    const Ran ran = cli.run({"destroy", "--yes", "--with-volumes", "-p", name_});
    EXPECT_TRUE(fs::exists(cli.state() + "/projects/postgres-volume/db/volumes/changes.img"))
        << "it is protected: " << ran.out << ran.err;
}

TEST_F(Examples, HostRootRunsTheHostsOwnSystem) {
    use("host-root");
    const Ran ran = cli.run({"run", path("microvm.toml")});
    EXPECT_EQ(ran.status, 0) << ran.err;
    std::ifstream release("/etc/os-release");
    const std::string text{std::istreambuf_iterator<char>(release), {}};
    const std::size_t at = text.find("PRETTY_NAME=\"") + 13;
    EXPECT_THAT(ran.out, HasSubstr(text.substr(at, text.find('"', at) - at)));
    utsname host{};
    ::uname(&host);
    EXPECT_THAT(ran.out, HasSubstr(std::string("Linux ")));
    EXPECT_THAT(ran.out, HasSubstr(host.machine));
    EXPECT_THAT(ran.out, HasSubstr("written, in memory"));
    EXPECT_FALSE(fs::exists("/etc/made-here"));
}

TEST_F(Examples, CloudImageIsBootedByItsLoaderAndSetUpByCloudInit) {
    std::string why_not;
    const std::string image = cloud_image(why_not);
    if (image.empty()) { GTEST_SKIP() << "no cloud image: " << why_not; }
    use("cloud-image");
    free_port("2222:22", 22);
    fs::copy_file(image, path("disk.qcow2"));
    apply(fmt::format(
        "[vm.cloud]\nfirmware = \"{}\"\nhostname = \"named\"\nstartup-timeout = 700\nshutdown-timeout = 180\n",
        uefi_firmware()));
    const std::string log = done({"logs"});
    EXPECT_THAT(log, HasSubstr("the machine is set up"));
    EXPECT_THAT(log, HasSubstr("named login:")) << "the host name comes by the meta-data";
    EXPECT_EQ(status().at("state"), "ready");
    EXPECT_THAT(done({"stop"}), HasSubstr("powered off")) << "by the power button";
    EXPECT_EQ(status().at("end").at("kind"), "poweroff");
    EXPECT_TRUE(cli.processes().empty());
}

} // namespace microvmc::boot
