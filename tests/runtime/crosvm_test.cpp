#include "runtime/backend.h"
#include "runtime/backends/own_command.h"
#include "runtime/error.h"
#include "tests/runtime/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace microvmc::test {

namespace {

using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const Backend& its() {
    return backend("crosvm");
}

VmPlan sample() {
    VmPlan vm = kvm_vm("crosvm", "/usr/bin/crosvm");
    vm.shares.clear();
    vm.kernel.params = its().traits.choose_machine(vm, sample_facts()).kernel_params;
    return vm;
}

/// A crosvm that notes what it is asked and says what it is told to.
class StandIn {
public:
    StandIn() {
        char name[] = "/tmp/crosvm-XXXXXX";
        dir = ::mkdtemp(name);
        std::ofstream(dir + "/crosvm") << "#!/bin/sh\necho \"$*\" >> " << dir << "/asked\ncat " << dir << "/out\ncat "
                                       << dir << "/err >&2\nexit $(cat " << dir << "/status)\n";
        std::filesystem::permissions(dir + "/crosvm", std::filesystem::perms::owner_all);
        says("", "", 0);
    }
    ~StandIn() { std::filesystem::remove_all(dir); }
    StandIn(const StandIn&) = delete;
    StandIn& operator=(const StandIn&) = delete;

    void says(const std::string& out, const std::string& err, int status) const {
        std::ofstream(dir + "/out") << out;
        std::ofstream(dir + "/err") << err;
        std::ofstream(dir + "/status") << status;
    }
    [[nodiscard]] std::unique_ptr<Control> control() const {
        return its().attach(OwnCommand{dir + "/crosvm", dir + "/vm.sock"}.text(), milliseconds(1'000));
    }
    [[nodiscard]] std::string asked() const {
        std::ifstream in(dir + "/asked");
        return {std::istreambuf_iterator<char>(in), {}};
    }

    std::string dir;
};

} // namespace

TEST(Crosvm, HasWhatThePlanSays) {
    const Lowered lowered = its().lower(sample(), "/cache/initramfs");
    const auto& argv = lowered.children.back().argv;
    EXPECT_THAT(argv.back(), HasSubstr("/var/lib/microvmc/kernels/"));
    EXPECT_THAT(values(argv, "--mem"), ElementsAre("size=256"));
    EXPECT_THAT(values(argv, "--pivot-root"), ElementsAre("/run/microvmc/hello/web/sandbox"));
    EXPECT_THAT(argv, Not(Contains("--disable-sandbox")));
    EXPECT_THAT(values(argv, "--serial"),
                ElementsAre("type=stdout,hardware=serial,num=1,console=true,stdin=true",
                            "type=unix-stream,hardware=virtio-console,num=2,pci-address=00:01.0,"
                            "path=/run/microvmc/hello/web/agent.sock,input-unix-stream=true"));
    EXPECT_THAT(values(argv, "--block"),
                ElementsAre("path=/var/lib/microvmc/projects/hello/web/volumes/data.img,ro=false,sparse=false,"
                            "direct=false,id=mv0123456789abcdef01"));
    EXPECT_THAT(values(argv, "--net"), ElementsAre("tap-name=mv0123456789,mac=02:00:5e:01:02:03"));
    EXPECT_THAT(argv, Contains("--no-balloon"));
    EXPECT_EQ(lowered.agent.kind, AgentChannel::Kind::served);
}

TEST(Crosvm, AnyPathCanBeSaid) {
    VmPlan vm = sample();
    vm.volumes.front().image = "/a,b=c \"d\" 'e' [f] \\ 100%\n h\xc3\xa4t";
    EXPECT_THAT(values(argv_of(vm), "--block"),
                ElementsAre(HasSubstr("path=\"/a,b=c \\\"d\\\" 'e' [f] \\\\ 100%\n h\xc3\xa4t\",ro=false")));
    vm.volumes.front().image = std::string("/a\0b", 4);
    EXPECT_THROW(argv_of(vm), Error);
}

TEST(Crosvm, KernelParametersAreAscii) {
    VmPlan vm = sample();
    EXPECT_THAT(its().traits.choose_machine(vm, sample_facts()).problems, IsEmpty());
    vm.kernel.params.emplace_back("a=h\xc3\xa4t");
    const auto problems = its().traits.choose_machine(vm, sample_facts()).problems;
    ASSERT_THAT(problems, SizeIs(1));
    EXPECT_EQ(problems.front().key, "kernel-params");
}

TEST(Crosvm, AShareServerTellsTheTag) {
    VmPlan vm = sample();
    SharePlan share = virtiofs_share("www");
    share.tag = "a tag";
    SharePlan theirs = share;
    theirs.server.clear();
    theirs.socket = "/run/theirs.sock";
    vm.shares = {theirs, share};
    const Lowered lowered = its().lower(vm, "");
    ASSERT_THAT(lowered.children, SizeIs(2));
    EXPECT_EQ(lowered.children.front().argv.back(), "--tag=a tag");
    EXPECT_THAT(values(lowered.children.back().argv, "--vhost-user"),
                ElementsAre("type=fs,socket=/run/theirs.sock", "type=fs,socket=/run/microvmc/hello/web/fs1.sock"));
}

TEST(Crosvm, ServesVirtiofsItself) {
    VmPlan vm = sample();
    SharePlan share = virtiofs_share("www");
    share.server.clear();
    share.server_kind = "own";
    share.read_only = true;
    vm.shares = {share};
    const auto shared_dir = [&] { return values(its().lower(vm, "").children.back().argv, "--shared-dir"); };
    EXPECT_THAT(shared_dir(), ElementsAre("/srv/www:www:type=fs:cache=auto:timeout=1:posix_acl=false:"
                                          "uidmap=0 0 4294967295:gidmap=0 0 4294967295"));
    EXPECT_THAT(its().lower(vm, "").children, SizeIs(1));
    EXPECT_THAT(its().lower(vm, "").children.back().read_only, ElementsAre("/srv/www"));
    EXPECT_THAT(argv_of(vm), Not(Contains("--vhost-user")));

    vm.shares.front().uid_map = vm.shares.front().gid_map = "0:1000:1"; // an ordinary user's
    vm.shares.front().cache = "never";
    vm.shares.front().posix_acl = true;
    EXPECT_THAT(shared_dir(), ElementsAre("/srv/www:www:type=fs:cache=never:timeout=0:posix_acl=true"));
    vm.shares.front().source = "/srv/a:b";
    EXPECT_THAT(its().traits.choose_machine(vm, sample_facts()).problems, SizeIs(1));
    EXPECT_THROW(its().lower(vm, ""), Error);
}

TEST(Crosvm, HasTheHostsKernelHandlePackets) {
    VmPlan vm = sample();
    vm.interfaces.front().vhost = "on";
    EXPECT_THAT(values(argv_of(vm), "--net"), ElementsAre("tap-name=mv0123456789,mac=02:00:5e:01:02:03,vhost-net"));
    EXPECT_THAT(its().traits.choose_machine(vm, sample_facts()).problems, SizeIs(1)) << "no /dev/vhost-net";
    vm.interfaces.front().vhost = "off";
    vm.interfaces.front().queues = vm.vcpu = 2;
    EXPECT_THAT(values(argv_of(vm), "--net"), ElementsAre("tap-name=mv0123456789,mac=02:00:5e:01:02:03,vq-pairs=2"));
    vm.interfaces.front().vhost = "on";
    vm.interfaces.front().queues = 1;
    HostFacts with_node = sample_facts();
    with_node.paths["/dev/vhost-net"] = {.kind = PathFacts::Kind::other, .readable = true, .writable = true};
    EXPECT_THAT(its().traits.choose_machine(vm, with_node).problems, IsEmpty());
}

TEST(Crosvm, RawVolumesWithDiscardGrow) {
    VolumePlan volume;
    volume.discard = true;
    EXPECT_TRUE(its().traits.grows(volume));
    volume.format = "qcow2";
    EXPECT_FALSE(its().traits.grows(volume));
    volume.format = "raw";
    volume.discard = false;
    EXPECT_FALSE(its().traits.grows(volume));
}

TEST(Crosvm, Serves9pItself) {
    VmPlan vm = sample();
    SharePlan share;
    share.name = share.tag = "www";
    share.source = "/srv/www";
    share.proto = "9p";
    share.security_model = "passthrough";
    share.read_only = true;
    vm.shares = {share, virtiofs_share("src")};
    HostFacts root = sample_facts();
    root.uid = 0;
    const auto problems = [&] { return its().traits.choose_machine(vm, root).problems; };
    EXPECT_THAT(problems(), IsEmpty());
    const Lowered lowered = its().lower(vm, "");
    ASSERT_THAT(lowered.children, SizeIs(2));
    EXPECT_EQ(lowered.children.front().argv.back(), "--tag=src");
    const Child& vmm = lowered.children.back();
    EXPECT_THAT(values(vmm.argv, "--shared-dir"),
                ElementsAre("/srv/www:www:type=p9:uidmap=0 0 4294967295:gidmap=0 0 4294967295"));
    EXPECT_THAT(values(vmm.argv, "--vhost-user"), ElementsAre("type=fs,socket=" + lowered.children.front().listen));
    EXPECT_THAT(vmm.read_only, ElementsAre("/srv/www"));

    vm.shares.front().security_model = "none"; // an ordinary user's
    vm.shares.front().read_only = false;
    EXPECT_THAT(values(argv_of(vm), "--shared-dir"), ElementsAre("/srv/www:www:type=p9"));
    EXPECT_THAT(its().lower(vm, "").children.back().read_only, IsEmpty());
    vm.shares.front().xattr = true;
    EXPECT_THAT(problems(), SizeIs(1));
    vm.shares.front().xattr = false;
    vm.shares.front().source = "/srv/a:b";
    EXPECT_THAT(problems(), SizeIs(1));
    EXPECT_THROW(its().lower(vm, ""), Error);
}

TEST(Crosvm, ABalloonIsThereWhenItIsWanted) {
    VmPlan vm = sample();
    vm.balloon.mode = BalloonPlan::Mode::on;
    vm.balloon.initial_mib = 56;
    EXPECT_THAT(values(argv_of(vm), "--init-mem"), ElementsAre("200"));
    EXPECT_THAT(argv_of(vm), Not(Contains("--no-balloon")));
    EXPECT_THAT(argv_of(vm), Not(Contains("--balloon-page-reporting")));
    vm.balloon.mode = BalloonPlan::Mode::automatic;
    EXPECT_THAT(argv_of(vm), Contains("--balloon-page-reporting"));
}

TEST(Crosvm, IsAskedByItsOwnCommand) {
    const StandIn crosvm;
    const auto control = crosvm.control();
    EXPECT_FALSE(control->paused());
    control->grow_volume({.volume = 1, .disk = 2, .image = "/i/data", .bytes = 1U << 20U});
    EXPECT_THAT(crosvm.asked(), HasSubstr(" disk resize 2 1048576 " + crosvm.dir + "/vm.sock\n"));
    VmPlan vm = sample();
    control->require_savable(vm);
    vm.interfaces.front().vhost = "on";
    EXPECT_THROW(control->require_savable(vm), Error);
    control->pause();
    EXPECT_TRUE(crosvm.control()->paused()) << "whoever asks";
    control->resume();
    EXPECT_FALSE(control->paused());
    control->set_balloon(64);
    crosvm.says(R"({"BalloonStats": {"stats": {"total_memory": 7, "free_memory": null}, "balloon_actual": 67108864}})",
                "", 0);
    EXPECT_EQ(control->balloon_mib(), 64U);
    EXPECT_EQ(control->stats().guest, (std::map<std::string, std::uint64_t>{{"total", 7}}));
    EXPECT_THAT(crosvm.asked(), HasSubstr("--log-level error balloon 67108864 " + crosvm.dir + "/vm.sock\n"));
    crosvm.says("nonsense", "", 0);
    EXPECT_THROW(control->balloon_mib(), Error);
    crosvm.says("", "first\nit is gone\n", 1);
    try {
        control->quit();
        ADD_FAILURE() << "nothing was wrong";
    } catch (const Error& error) { EXPECT_THAT(error.what(), HasSubstr("it is gone")); }
}

} // namespace microvmc::test
