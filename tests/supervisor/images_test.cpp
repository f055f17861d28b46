#include "runtime/error.h"
#include "runtime/image_lock.h"
#include "runtime/image_users.h"
#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/wait.h>

// A machine's images are its own for as long as it runs.

namespace microvmc::test {

using ::testing::HasSubstr;
using namespace std::string_literals;

class Images : public MachineTest {
protected:
    void SetUp() override { std::ofstream(image) << "data"; }

    Launch machine(bool read_only) {
        Launch launch = fake({"hello", "1", "serve"});
        launch.images = {{.path = image, .read_only = read_only}};
        return launch;
    }
    // What another machine's start says.
    std::string other_start(bool read_only) {
        Launch launch = plain({"/bin/cat"});
        launch.runtime_dir = directory_ + "/other";
        launch.vmm_log = directory_ + "/other.log";
        launch.console_log = directory_ + "/other.console";
        launch.end_file = directory_ + "/other.end";
        launch.images = {{.path = image, .read_only = read_only}};
        std::string what = "started";
        try {
            const Started started = start_supervisor(supervisor_, launch);
            stop_machine(launch.runtime_dir, 0s, StopKind::kill);
            int status = 0;
            ::waitpid(started.supervisor, &status, 0);
        } catch (const Error& error) { what = error.what(); }
        EXPECT_TRUE(eventually([&] { return !is_locked(launch.runtime_dir); }));
        return what;
    }
    [[nodiscard]] ImageUse use() const {
        const Fd fd(::open(image.c_str(), O_RDONLY | O_CLOEXEC));
        return image_use(fd.get());
    }

    std::string image = directory_ + "/a,b.img";
};

TEST_F(Images, OneMachineWrites) {
    start_up(machine(false));
    EXPECT_TRUE(use().written);
    EXPECT_THAT(other_start(false), HasSubstr("the image " + image + ": another machine uses it"));
    EXPECT_THAT(other_start(true), HasSubstr("the image " + image + ": another machine writes it"));
    stop_machine(run_, 0s, StopKind::kill);
    EXPECT_FALSE(use().used);
    EXPECT_EQ(other_start(false), "started");
}

TEST_F(Images, SeveralRead) {
    start_up(machine(true));
    EXPECT_TRUE(use().used);
    EXPECT_FALSE(use().written);
    EXPECT_EQ(other_start(true), "started");
    EXPECT_THAT(other_start(false), HasSubstr("another machine uses it"));
}

TEST_F(Images, OneThatIsNotThereIsNamed) {
    std::filesystem::remove(image);
    Launch launch = machine(false);
    try {
        start(launch);
        FAIL();
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("can't open the image " + image + ": No such file or directory"));
    }
}

TEST_F(Images, ItsUserIsFoundByAnyName) {
    Launch launch = machine(false);
    const std::string other_name = directory_ + "/other-name";
    std::filesystem::create_hard_link(image, other_name);
    // <runtime>/PROJECT/VM
    const std::string runtime = std::filesystem::path(directory_).parent_path().string();
    start_up(launch);
    const std::string user = std::filesystem::path(directory_).filename().string() + "/run";
    EXPECT_EQ(image_user(runtime, image), user);
    EXPECT_EQ(image_user(runtime, other_name), user);
    EXPECT_EQ(image_user(runtime, "/etc/passwd"), "");
    stop_machine(run_, 0s, StopKind::kill);
    EXPECT_EQ(image_user(runtime, image), "");
}

TEST_F(Images, TheLockOutlivesAnUpgrade) {
    start_up(machine(false));
    const std::string another = directory_ + "/supervisor-2";
    std::filesystem::copy_file(supervisor_, another);
    ASSERT_EQ(upgrade_supervisor(run_, another).kind, UpgradeOutcome::Kind::upgraded);
    EXPECT_TRUE(use().written);
    EXPECT_THAT(other_start(false), HasSubstr("another machine uses it"));
    stop_machine(run_, 0s, StopKind::kill);
    EXPECT_FALSE(use().used);
}

// A VMM that goes by an image's first bytes isn't given one that its guest has made look like another format, at a
// restart neither.
TEST_F(Images, OneInDisguiseIsRefused) {
    for (const std::string& first : {"QFI\xfb"s, "composite_disk\x1d"s, "\x3a\xff\x26\xed"s, "\x28\xb5\x2f\xfd"s}) {
        std::ofstream(image) << first << "more";
        Launch launch = machine(false);
        launch.children.back().raw_images = {image};
        try {
            start(launch);
            FAIL();
        } catch (const Error& error) {
            EXPECT_THAT(error.what(), HasSubstr("the image " + image + " is a raw one, but begins as a "));
        }
        EXPECT_TRUE(eventually([&] { return !is_locked(launch.runtime_dir); }));
    }
    for (const std::string& first : {""s, "QFI"s, "data"s}) {
        std::ofstream(image) << first;
        Launch launch = machine(false);
        launch.children.back().raw_images = {image};
        start_up(launch);
        stop_machine(run_, 0s, StopKind::kill);
        EXPECT_TRUE(eventually([&] { return !is_locked(launch.runtime_dir); }));
    }
}

} // namespace microvmc::test
