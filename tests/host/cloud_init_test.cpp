#include "runtime/cloud_init.h"

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/process.h"
#include "tests/host/temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

namespace microvmc {
namespace {

using testing::HasSubstr;

/// A file of an image, by the names that Rock Ridge gives.
std::string content_of(const std::string& image, const std::string& name) {
    const Ran ran = run_program({"bsdtar", "-xOf", image, name});
    EXPECT_EQ(ran.status, 0) << ran.err;
    return ran.out;
}

bool has(const char* program) {
    return run_program({"sh", "-c", std::string("command -v ") + program}).status == 0;
}

TEST(CloudInit, HasTheFilesAndTheLabelThatNoCloudLooksFor) {
    if (!has("bsdtar")) { GTEST_SKIP() << "bsdtar (libarchive-tools) is not installed"; }
    const TemporaryDirectory directory;
    write_whole(directory / "user-data", "#cloud-config\nhostname: x\n", 0644);
    write_whole(directory / "network-config", "version: 2\n", 0644);
    BuildCloudInit request;
    request.source = {.user_data = directory / "user-data",
                      .meta_data = {},
                      .network_config = directory / "network-config",
                      .instance_id = "0123"};
    request.hostname = "web";
    request.output = directory / "cloud-init.iso";
    build_cloud_init(request);
    EXPECT_EQ(content_of(request.output, "user-data"), "#cloud-config\nhostname: x\n");
    EXPECT_EQ(content_of(request.output, "meta-data"), "instance-id: 0123\nlocal-hostname: web\n");
    EXPECT_EQ(content_of(request.output, "network-config"), "version: 2\n");
    const std::string label = run_program({"blkid", "-p", "-s", "LABEL", "-o", "value", request.output}).out;
    EXPECT_TRUE(label == "cidata\n" || label == "CIDATA\n") << label;
    EXPECT_EQ(run_program({"blkid", "-p", "-s", "TYPE", "-o", "value", request.output}).out, "iso9660\n");
    struct stat status {};
    ASSERT_EQ(::stat(request.output.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U) << "user-data may have secrets";
}

TEST(CloudInit, WhatIsNotNamedIsMade) {
    if (!has("bsdtar")) { GTEST_SKIP() << "bsdtar (libarchive-tools) is not installed"; }
    const TemporaryDirectory directory;
    write_whole(directory / "meta", "instance-id: mine\n", 0644);
    BuildCloudInit request;
    request.source = {.user_data = {}, .meta_data = directory / "meta", .network_config = {}, .instance_id = "0123"};
    request.output = directory / "cloud-init.iso";
    build_cloud_init(request);
    EXPECT_EQ(content_of(request.output, "user-data"), "#cloud-config\n");
    EXPECT_EQ(content_of(request.output, "meta-data"), "instance-id: mine\n");
    EXPECT_NE(run_program({"bsdtar", "-xOf", request.output, "network-config"}).status, 0);
    request.source.user_data = directory / "gone";
    try {
        build_cloud_init(request);
        FAIL();
    } catch (const Error& error) { EXPECT_THAT(error.what(), HasSubstr("there is no")); }
}

TEST(CloudInit, SameFilesSameBytes) {
    const std::vector<std::pair<std::string, std::string>> files{
        {"meta-data", "a"}, {"user-data", std::string(5000, 'u')}, {"network-config", ""}};
    const std::string first = cloud_init_image(files);
    std::this_thread::sleep_for(std::chrono::milliseconds(2100)); // ISO 9660 has seconds
    EXPECT_EQ(cloud_init_image(files), first);
    EXPECT_LT(first.size(), 1U << 20U);
}

} // namespace
} // namespace microvmc
