// OCI images: what is read of them, and the roots that their layers make.

#include "compiler/digest.h"
#include "compiler/identity.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/process.h"
#include "runtime/root/directory_source.h"
#include "runtime/root/oci_image.h"
#include "runtime/root/root_image.h"
#include "tests/host/archives.h"
#include "tests/host/images.h"
#include "tests/host/temporary.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

namespace microvmc {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// An image's layout in the making.
class Layout {
public:
    json add(const std::string& content, const std::string& media_type) {
        const std::string hex = sha256_hex(content);
        files_["blobs/sha256/" + hex] = content;
        return {{"mediaType", media_type}, {"digest", "sha256:" + hex}, {"size", content.size()}};
    }

    json add_image(const std::vector<std::string>& layers, const json& config) {
        json manifest{{"schemaVersion", 2}, {"layers", json::array()}};
        manifest["config"] = add(json{{"architecture", "amd64"}, {"os", "linux"}, {"config", config}}.dump(),
                                 "application/vnd.oci.image.config.v1+json");
        for (const std::string& layer : layers) {
            manifest["layers"].push_back(add(layer, "application/vnd.oci.image.layer.v1.tar"));
        }
        return add(manifest.dump(), "application/vnd.oci.image.manifest.v1+json");
    }

    void set_index(const json& manifests) {
        files_["index.json"] = json{{"schemaVersion", 2}, {"manifests", manifests}}.dump();
    }
    std::string& operator[](const std::string& name) { return files_[name]; }

    [[nodiscard]] std::string as_directory(const std::string& path) const {
        for (const auto& [name, content] : files_) {
            std::filesystem::create_directories(std::filesystem::path(path + "/" + name).parent_path());
            std::ofstream(path + "/" + name, std::ios::binary) << content;
        }
        return path;
    }
    [[nodiscard]] std::string as_archive(const std::string& path) const {
        std::string bytes = tar_entry({.name = "blobs", .type = '5'});
        for (const auto& [name, content] : files_) { bytes += tar_entry({.name = "./" + name, .content = content}); }
        write_whole(path, bytes + tar_end(), 0644);
        return path;
    }

private:
    std::map<std::string, std::string> files_;
};

class Oci : public testing::Test {
protected:
    std::string unpacked(const std::string& source) {
        BuildRoot wanted;
        wanted.kind = RootPlan::Kind::oci;
        wanted.source = source;
        wanted.fs_type = "erofs";
        wanted.arch = "x86_64";
        std::filesystem::create_directories(directory / "cache");
        wanted.output =
            directory /
            ("cache/" + root_key(wanted.kind, wanted.fs_type, wanted.arch, source_identity(source)) + ".erofs");
        EXPECT_TRUE(build_root(wanted, {}));
        const std::string target = directory / "unpacked";
        std::filesystem::remove_all(target);
        const Ran ran = run_program({"fsck.erofs", "--extract=" + target, wanted.output});
        EXPECT_EQ(ran.status, 0) << ran.err;
        return target;
    }
    std::string problem(const std::string& source) { return oci_facts(source, "x86_64").problem; }

    TemporaryDirectory directory;
    Layout layout;
};

std::string file(const std::string& name, const std::string& content) {
    return tar_entry({.name = name, .content = content});
}

TEST_F(Oci, LayersLieOverEachOther) {
    const std::string lowest = tar_entry({.name = "etc/", .type = '5', .mode = 0700}) + file("etc/kept", "1") +
                               file("etc/replaced", "1") + file("etc/removed", "1") + file("opaque/old", "1") +
                               file("opaque/deep/old", "1") + file("gone/a/b", "1") + file("again/old", "1") +
                               tar_end();
    const std::string middle = file("etc/replaced", "2") + file("etc/.wh.removed", "") + file("opaque/new", "2") +
                               file("opaque/.wh..wh..opq", "") + file("opaque/deep/new", "2") + file(".wh.gone", "") +
                               file(".wh.again", "") + file("again/new", "2") + file(".wh..wh.plnk", "") +
                               tar_entry({.name = "etc/hard", .type = '1', .link = "etc/kept"}) + tar_end();
    const std::string highest = file("etc/removed", "3") + tar_end();
    layout.set_index(json::array({layout.add_image(
        {lowest, compressed(middle, Compression::gzip), compressed(highest, Compression::zstd)}, json::object())}));
    for (const std::string& source :
         {layout.as_directory(directory / "layout"), layout.as_archive(directory / "image.tar")}) {
        const std::string target = unpacked(source);
        const auto content = [&target](const std::string& name) {
            return read_file(target + "/" + name).value_or("none");
        };
        EXPECT_EQ(content("etc/kept"), "1");
        EXPECT_EQ(content("etc/hard"), "1");
        EXPECT_EQ(content("etc/replaced"), "2");
        EXPECT_EQ(content("etc/removed"), "3");
        EXPECT_EQ(content("opaque/new"), "2");
        EXPECT_EQ(content("opaque/old"), "none");
        EXPECT_EQ(content("opaque/deep/new"), "2");
        EXPECT_EQ(content("opaque/deep/old"), "none");
        EXPECT_EQ(content("again/new"), "2");
        EXPECT_EQ(content("again/old"), "none");
        EXPECT_FALSE(std::filesystem::exists(target + "/gone"));
        for (const auto& entry : std::filesystem::recursive_directory_iterator(target)) {
            EXPECT_THAT(entry.path().filename().string(), Not(testing::StartsWith(".wh.")));
        }
    }
}

TEST_F(Oci, ItsConfigurationSaysWhatToRun) {
    const json config{{"Entrypoint", {"/entry", "-x"}},
                      {"Cmd", {"serve"}},
                      {"Env", {"A=1", "PATH=/bin"}},
                      {"WorkingDir", "/srv"},
                      {"User", "postgres"}};
    layout.set_index(json::array({layout.add_image({file("a", "1") + tar_end()}, config)}));
    const OciFacts facts = oci_facts(layout.as_archive(directory / "image.tar"), "x86_64");
    EXPECT_EQ(facts.problem, "");
    EXPECT_THAT(facts.command, ElementsAre("/entry", "-x", "serve"));
    EXPECT_THAT(facts.env, ElementsAre("A=1", "PATH=/bin"));
    EXPECT_EQ(facts.workdir, "/srv");
    EXPECT_EQ(facts.user, "postgres");
    Layout plain;
    plain.set_index(
        json::array({plain.add_image({file("a", "1") + tar_end()}, {{"Entrypoint", nullptr}, {"User", "0"}})}));
    const OciFacts other = oci_facts(plain.as_directory(directory / "plain"), "x86_64");
    EXPECT_EQ(other, OciFacts{});
}

TEST_F(Oci, TheArchitecturesImageIsTaken) {
    json arm = layout.add_image({file("arm", "1") + tar_end()}, {{"Cmd", {"arm"}}});
    arm["platform"] = {{"architecture", "arm64"}, {"os", "linux"}};
    json amd = layout.add_image({file("amd", "1") + tar_end()}, {{"Cmd", {"amd"}}});
    amd["platform"] = {{"architecture", "amd64"}, {"os", "linux"}};
    const json nested = layout.add(json{{"schemaVersion", 2}, {"manifests", {arm, amd}}}.dump(),
                                   "application/vnd.oci.image.index.v1+json");
    layout.set_index(json::array({nested}));
    const std::string path = layout.as_archive(directory / "image.tar");
    EXPECT_THAT(oci_facts(path, "x86_64").command, ElementsAre("amd"));
    EXPECT_THAT(oci_facts(path, "aarch64").command, ElementsAre("arm"));
    EXPECT_THAT(oci_facts(path, "riscv64").problem, HasSubstr("no image for riscv64"));
}

TEST_F(Oci, WhatIsNoneIsSaid) {
    write_whole(directory / "text", "not an archive", 0644);
    EXPECT_THAT(problem(directory / "text"), HasSubstr("no tar archive"));
    write_whole(directory / "empty.tar", tar_end(), 0644);
    EXPECT_THAT(problem(directory / "empty.tar"), HasSubstr("it has no index.json"));
    EXPECT_THAT(problem(directory / "nowhere"), HasSubstr("No such file"));
    std::filesystem::create_directory(directory / "directory");
    EXPECT_THAT(problem(directory / "directory"), HasSubstr("it has no index.json"));

    const json image = layout.add_image({file("a", "1") + tar_end()}, json::object());
    layout.set_index(json::array({image}));
    write_whole(directory / "image.tar.gz",
                compressed(*read_file(layout.as_archive(directory / "whole.tar")), Compression::gzip), 0644);
    EXPECT_THAT(problem(directory / "image.tar.gz"), HasSubstr("compressed"));
    layout["blobs/" + image.at("digest").get<std::string>().replace(6, 1, "/")] += " ";
    EXPECT_THAT(problem(layout.as_archive(directory / "damaged.tar")), HasSubstr("is damaged"));
    layout.set_index(json::array({{{"digest", "sha256:../../../../etc/passwd"}}}));
    EXPECT_THAT(problem(layout.as_directory(directory / "hostile")), HasSubstr("is no SHA-256 digest"));
    layout["index.json"] = "{";
    EXPECT_THAT(problem(layout.as_archive(directory / "malformed.tar")), HasSubstr("malformed"));
    const json self = layout.add(json{{"manifests", json::array()}}.dump(), "application/vnd.oci.image.index.v1+json");
    layout.set_index(json::array({self}));
    EXPECT_THAT(problem(layout.as_archive(directory / "nothing.tar")), HasSubstr("no image for amd64"));
}

} // namespace
} // namespace microvmc
