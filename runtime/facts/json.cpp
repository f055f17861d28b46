#include "runtime/facts/json.h"

#include <algorithm>
#include <array>

namespace microvmc {

namespace {

struct ImageName {
    KernelImage image;
    const char* name;
};
constexpr std::array image_names{
    ImageName{KernelImage::bzimage, "bzimage"},
    ImageName{KernelImage::elf, "elf"},
    ImageName{KernelImage::unknown, "unknown"},
};

struct CompressionName {
    Compression compression;
    const char* name;
};
constexpr std::array compression_names{
    CompressionName{Compression::none, "none"},   CompressionName{Compression::gzip, "gzip"},
    CompressionName{Compression::xz, "xz"},       CompressionName{Compression::zstd, "zstd"},
    CompressionName{Compression::other, "other"}, CompressionName{Compression::lz4_legacy, "lz4-legacy"},
};

} // namespace

nlohmann::json identity_json(const FileIdentity& identity) {
    return {{"device", identity.device},
            {"inode", identity.inode},
            {"mtime-ns", identity.mtime_ns},
            {"size", identity.size}};
}

FileIdentity identity_from(const nlohmann::json& json) {
    return {.device = json.at("device").get<std::uint64_t>(),
            .inode = json.at("inode").get<std::uint64_t>(),
            .mtime_ns = json.at("mtime-ns").get<std::int64_t>(),
            .size = json.at("size").get<std::uint64_t>()};
}

nlohmann::json tool_json(const ToolFacts& tool) {
    return {{"path", tool.path}, {"version", tool.version}, {"identity", identity_json(tool.identity)}};
}

ToolFacts tool_from(const nlohmann::json& json) {
    return {.path = json.at("path").get<std::string>(),
            .version = json.at("version").get<std::string>(),
            .identity = identity_from(json.at("identity"))};
}

nlohmann::json kernel_json(const KernelFacts& kernel) {
    const auto* const image = std::ranges::find(image_names, kernel.image, &ImageName::image);
    const auto* const compression =
        std::ranges::find(compression_names, kernel.compression, &CompressionName::compression);
    return {{"path", kernel.path},
            {"release", kernel.release},
            {"modules", kernel.modules},
            {"image", image->name},
            {"compression", compression->name},
            {"readable", kernel.readable},
            {"identity", identity_json(kernel.identity)},
            {"pinned-from", kernel.pinned_from}};
}

KernelFacts kernel_from(const nlohmann::json& json) {
    KernelFacts kernel;
    kernel.path = json.at("path").get<std::string>();
    kernel.release = json.at("release").get<std::string>();
    kernel.modules = json.at("modules").get<std::string>();
    const auto image_name = json.at("image").get<std::string>();
    const auto* const image = std::ranges::find(image_names, image_name, &ImageName::name);
    kernel.image = image == image_names.end() ? KernelImage::unknown : image->image;
    const auto compression_name = json.at("compression").get<std::string>();
    const auto* const compression = std::ranges::find(compression_names, compression_name, &CompressionName::name);
    kernel.compression = compression == compression_names.end() ? Compression::other : compression->compression;
    kernel.readable = json.at("readable").get<bool>();
    kernel.identity = identity_from(json.at("identity"));
    kernel.pinned_from = json.at("pinned-from").get<std::string>();
    return kernel;
}

} // namespace microvmc
