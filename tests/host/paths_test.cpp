#include "runtime/paths.h"

#include "runtime/error.h"
#include "runtime/files.h"
#include "tests/host/temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sys/stat.h>

namespace microvmc {
namespace {

Environment of(std::map<std::string, std::string> variables) {
    return [variables = std::move(variables)](const char* name) -> const char* {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
    };
}

TEST(Paths, OfRootAndOfUsers) {
    EXPECT_EQ(directories(0, of({{"XDG_STATE_HOME", "/x"}})), (Directories{"/var/lib/microvmc", "/run/microvmc"}));
    EXPECT_EQ(directories(7, of({{"HOME", "/home/u"}})),
              (Directories{"/home/u/.local/state/microvmc", "/tmp/microvmc-7"}));
    EXPECT_EQ(directories(7, of({{"HOME", "/home/u"}, {"XDG_STATE_HOME", "/s"}, {"XDG_RUNTIME_DIR", "/r"}})),
              (Directories{"/s/microvmc", "/r/microvmc"}));
    EXPECT_EQ(directories(7, of({{"HOME", "/home/u"}, {"XDG_STATE_HOME", "relative"}})).state,
              "/home/u/.local/state/microvmc");
    EXPECT_EQ(directories(0, of({{"MICROVMC_STATE_DIR", "/a"}, {"MICROVMC_RUNTIME_DIR", "/b"}})),
              (Directories{"/a", "/b"}));
    EXPECT_THROW(directories(0, of({{"MICROVMC_STATE_DIR", "relative"}})), Error);
}

TEST(Paths, RuntimeDirectoryMustBePrivate) {
    const TemporaryDirectory directory;
    const Directories good{directory / "state", directory / "run"};
    prepare_directories(good);
    prepare_directories(good);
    struct stat status {};
    ASSERT_EQ(::stat(good.runtime.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0700U);

    std::filesystem::create_directory_symlink("run", directory / "link");
    EXPECT_THROW(prepare_directories({good.state, directory / "link"}), Error);

    make_directories(directory / "open", 0700);
    ASSERT_EQ(::chmod((directory / "open").c_str(), 0777), 0);
    EXPECT_THROW(prepare_directories({good.state, directory / "open"}), Error);

    if (::geteuid() == 0) {
        make_directories(directory / "foreign", 0700);
        ASSERT_EQ(::chown((directory / "foreign").c_str(), 1000, 1000), 0);
        EXPECT_THROW(prepare_directories({good.state, directory / "foreign"}), Error);
    }
}

TEST(Paths, ProgramsOfOurOwn) {
    const TemporaryDirectory directory;
    ::setenv("MICROVMC_LIBEXEC", directory.path().c_str(), 1);
    EXPECT_THROW(guest_init_path(), Error);
    write_whole(directory / "microvmc-init", "", 0755);
    write_whole(directory / "microvmc-supervisor", "", 0755);
    EXPECT_EQ(guest_init_path(), directory / "microvmc-init");
    EXPECT_EQ(supervisor_path(), directory / "microvmc-supervisor");
    ::unsetenv("MICROVMC_LIBEXEC");
}

} // namespace
} // namespace microvmc
