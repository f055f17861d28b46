#include "testkit/command.h"

#include "runtime/commands/session.h"
#include "runtime/error.h"
#include "testkit/report_file.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/stat.h>
#include <thread>

// What microvm-test ends with, and the files that it writes.

namespace microvmc::testkit {

namespace fs = std::filesystem;

namespace {

RunReport report_of(const std::vector<Outcome>& outcomes) {
    RunReport report;
    for (const Outcome outcome : outcomes) { report.results.emplace_back().outcome = outcome; }
    return report;
}

class ReportFiles : public ::testing::Test {
protected:
    ReportFiles() { fs::create_directories(dir_); }
    ~ReportFiles() override { fs::remove_all(dir_); }
    static std::string read(const std::string& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::string dir_ = fs::temp_directory_path().string() + "/report-files-" + std::to_string(::getpid());
};

} // namespace

TEST(ExitStatus, IsOfTheWorst) {
    using enum Outcome;
    EXPECT_EQ(exit_status(report_of({passed, passed, skipped}), false), exit_ok);
    for (const Outcome failure : {wrong, panic, crash, error}) {
        EXPECT_EQ(exit_status(report_of({passed, failure, skipped}), false), exit_failure);
        EXPECT_EQ(exit_status(report_of({hang, failure}), false), exit_failure);
    }
    EXPECT_EQ(exit_status(report_of({passed, hang}), false), exit_timeout);
    EXPECT_EQ(exit_status(report_of({skipped, skipped}), false), 2) << "nothing ran";
    EXPECT_EQ(exit_status(report_of({}), false), 2);
}

TEST(ExitStatus, WithCoverageAClaimWithoutProofIsAFailure) {
    RunReport report = report_of({Outcome::passed});
    report.coverage.push_back(
        {.capability = "volume.raw", .hypervisor = "qemu", .support = "native", .cases = {"a"}, .excuse = {}});
    report.coverage.push_back(
        {.capability = "vsock", .hypervisor = "qemu", .support = "native", .cases = {}, .excuse = "no node"});
    EXPECT_EQ(exit_status(report, true), exit_ok);
    report.coverage.push_back(
        {.capability = "pause", .hypervisor = "qemu", .support = "native", .cases = {}, .excuse = {}});
    EXPECT_EQ(exit_status(report, true), exit_failure);
    EXPECT_EQ(exit_status(report, false), exit_ok);
    EXPECT_EQ(exit_status(report_of({Outcome::hang}), true), exit_timeout);
}

TEST_F(ReportFiles, AppearWholeAtTheEnd) {
    const std::string path = dir_ + "/out.xml";
    std::ofstream(path) << "of the run before";
    {
        ReportFile file(path);
        EXPECT_EQ(read(path), "of the run before");
        file.write("<new/>");
        EXPECT_EQ(read(path), "<new/>");
    }
    { const ReportFile never_written(path); }
    EXPECT_EQ(read(path), "<new/>");
    EXPECT_EQ(std::distance(fs::directory_iterator(dir_), {}), 1) << "nothing is left beside it";
}

TEST_F(ReportFiles, WhatCantBeWrittenIsSaidBeforeAnythingRuns) {
    EXPECT_THROW(ReportFile(dir_ + "/none/out.xml"), Error);
    EXPECT_THROW(ReportFile{dir_}, Error);
}

TEST_F(ReportFiles, APipeIsWrittenAsItIs) {
    const std::string path = dir_ + "/pipe";
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    std::string got;
    std::thread reader([&] { got = read(path); });
    ReportFile file(path);
    file.write(std::string(200'000, 'x'));
    reader.join();
    EXPECT_EQ(got, std::string(200'000, 'x'));
    EXPECT_TRUE(fs::is_fifo(path)) << "it is the same one";
}

} // namespace microvmc::testkit
