#pragma once

#include "compiler/facts.h"
#include "runtime/fd.h"
#include "runtime/root/root_builder.h"
#include "runtime/root/tar_source.h"

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace microvmc {

/// An image in OCI's layout (image-spec, image-layout.md): a directory, or a tar archive of one that isn't compressed,
/// as skopeo, podman save and docker save make them. Of several images in it, the first for the architecture.
class OciImage {
public:
    /// `arch` as uname(1) has it. Throws Error when there is no such image.
    OciImage(const std::string& path, const std::string& arch);

    [[nodiscard]] const OciFacts& facts() const { return facts_; }
    [[nodiscard]] std::uint64_t layer_bytes() const; ///< as they lie there, compressed or not
    /// Reads the layers, each over those before. Throws Error.
    void read_layers(RootBuilder& root, const BytesRead& progress) const;

private:
    void find_files();
    [[nodiscard]] FilePart file(const std::string& name);
    [[nodiscard]] std::string text_of(const FilePart& part) const;
    [[nodiscard]] nlohmann::json blob(const nlohmann::json& descriptor);
    [[nodiscard]] nlohmann::json manifest(const nlohmann::json& index, const std::string& arch, int depth);
    void read_config(const nlohmann::json& config);

    std::string path_;
    Fd top_;
    bool is_directory_ = false;
    std::map<std::string, FilePart> files_; ///< of an archive, by name
    std::vector<Fd> open_;
    OciFacts facts_;
    std::vector<FilePart> layers_;
};

/// What an OCI image says of its process, or why it is none.
OciFacts oci_facts(const std::string& path, const std::string& arch);

} // namespace microvmc
