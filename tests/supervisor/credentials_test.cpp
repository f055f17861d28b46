#include "runtime/supervisor/credentials.h"

#include "runtime/guest/wire.h"
#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

#include <filesystem>

// Secrets on their way from who starts a machine to its guest.

namespace microvmc::test {

using supervisor::Credential;
using ::testing::HasSubstr;
using ::testing::Not;

class Credentials : public MachineTest {
protected:
    /// Whether the VMM's console shows a line within 5 s.
    bool shows(const std::string& text) {
        return eventually([&] { return console_log().find(text) != std::string::npos; });
    }
    static std::string crc(std::string_view bytes) { return std::to_string(wire::crc32(bytes)); }
};

TEST_F(Credentials, AreSentWhenTheGuestWantsThem) {
    const std::string large(100'000, 'L');
    const std::string binary("a\0b\n\xff", 5);
    start(fake({"want", "binary", "want", "large", "want", "empty", "want", "nobody's", "serve"}),
          {{"binary", binary}, {"large", large}, {"empty", ""}});
    EXPECT_TRUE(shows("credential binary 0+5/5 crc " + crc(binary))) << console_log();
    EXPECT_TRUE(shows("credential large 0+32768/100000 crc " + crc(large.substr(0, 32768))));
    EXPECT_TRUE(shows("credential large 98304+1696/100000 crc " + crc(large.substr(0, 1696))));
    EXPECT_TRUE(shows("credential empty 0+0/0"));
    EXPECT_TRUE(shows("credential nobody's unknown"));
}

TEST_F(Credentials, AreWantedAgainAfterAReboot) {
    start(fake({"first", "want", "token", "hello", "a",     "sleep", "100", "end",   "reboot",  "0",
                "exit",  "0",    "then",  "want",  "token", "hello", "b",   "print", "again\n", "serve"}),
          {{"token", "secret"}});
    EXPECT_TRUE(shows("again"));
    EXPECT_TRUE(shows("credential token 0+6/6")) << console_log();
}

TEST_F(Credentials, AreInMemoryOnly) {
    const std::string secret = "the-secret-itself";
    const Started started = start(fake({"want", "token", "hello", "a", "serve"}), {{"token", secret}});
    ASSERT_TRUE(shows("credential token 0+17/17"));
    for (const pid_t pid : {started.supervisor, started.vmm}) {
        for (const char* file : {"cmdline", "environ"}) {
            EXPECT_THAT(read_text("/proc/" + std::to_string(pid) + "/" + file), Not(HasSubstr(secret)));
        }
        for (const auto& fd : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
            std::error_code error;
            EXPECT_THAT(std::filesystem::read_symlink(fd, error).string(), Not(HasSubstr("microvmc-credentials")));
        }
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
        if (entry.is_regular_file()) {
            EXPECT_THAT(read_text(entry.path().string()), Not(HasSubstr(secret))) << entry.path();
        }
    }
}

TEST_F(Credentials, AGuestThatAsksWithoutReadingCostsNoMemory) {
    std::vector<std::string> steps;
    for (int i = 0; i < 200; ++i) { steps.insert(steps.end(), {"want", "large"}); }
    steps.insert(steps.end(), {"hello", "a", "hang"});
    const Started started = start(fake(steps), {{"large", std::string(500'000, 'L')}});
    EXPECT_EQ(await_machine(run_, Goal::agent, 5s).kind, AwaitOutcome::Kind::reached);
    EXPECT_LT(peak_memory(started.supervisor), 16'000 + bounded_growth);
}

TEST(PackedCredentials, ComeBackAsTheyWere) {
    const std::vector<Credential> all{{"a", std::string("x\0y", 3)}, {"b", ""}, {"c", std::string(70'000, '\0')}};
    const std::string packed = supervisor::pack_credentials(all);
    EXPECT_EQ(supervisor::unpack_credentials(packed), all);
    EXPECT_EQ(supervisor::unpack_credentials(""), std::vector<Credential>{});
    for (std::size_t size = 1; size < 11; ++size) {
        if (size == 7) { continue; } // a, whole
        EXPECT_EQ(supervisor::unpack_credentials(packed.substr(0, size)), std::nullopt) << size;
    }
    EXPECT_EQ(supervisor::unpack_credentials(std::string("a\0-1\0", 5)), std::nullopt);
    EXPECT_EQ(supervisor::unpack_credentials(std::string("a\0x\0", 4)), std::nullopt);
}

} // namespace microvmc::test
