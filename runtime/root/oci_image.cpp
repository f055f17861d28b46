#include "runtime/root/oci_image.h"

#include "compiler/digest.h"
#include "compiler/text.h"
#include "runtime/error.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc {

namespace {

using nlohmann::json;
using Reader = std::unique_ptr<archive, int (*)(archive*)>;

constexpr std::size_t most_json = std::size_t{8} << 20U; // bytes; image-spec advises 4 MiB at most for a manifest
constexpr std::size_t most_files = 100'000;              // of the archive: blobs
constexpr int most_indexes = 4;                          // one in the other
constexpr std::size_t read_size = std::size_t{1} << 18U;

/// Go's names of architectures, which OCI uses.
std::string_view oci_arch(std::string_view arch) {
    if (arch == "x86_64") { return "amd64"; }
    if (arch == "aarch64") { return "arm64"; }
    return arch;
}

std::string without_dot(std::string_view name) {
    while (name.starts_with("./")) { name.remove_prefix(2); }
    return std::string(name);
}

/// "sha256:0123..." -> "blobs/sha256/0123..."; only what is such a digest, so that no name leads elsewhere.
std::string blob_name(const std::string& digest) {
    constexpr std::string_view prefix = "sha256:";
    const std::string hex = digest.starts_with(prefix) ? digest.substr(prefix.size()) : std::string();
    if (hex.size() != 64 || hex.find_first_not_of("0123456789abcdef") != std::string::npos) {
        throw Error(fmt::format("\"{}\" is no SHA-256 digest", printable(digest)));
    }
    return "blobs/sha256/" + hex;
}

FilePart whole(int fd, const std::string& name) {
    struct stat status {};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) { throw Error(fmt::format("its {} is no file", name)); }
    return {fd, 0, static_cast<std::uint64_t>(status.st_size)};
}

std::vector<std::string> strings(const json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) { return {}; }
    return found->get<std::vector<std::string>>();
}

std::string string_or_none(const json& object, const char* key) {
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? std::string() : found->get<std::string>();
}

bool is_index(const json& descriptor) {
    return string_or_none(descriptor, "mediaType").find("index") != std::string::npos ||
           string_or_none(descriptor, "mediaType").find("manifest.list") != std::string::npos;
}

/// Whether a descriptor's image may run on the architecture; one that says nothing may.
bool is_for(const json& descriptor, std::string_view arch) {
    const auto platform = descriptor.find("platform");
    if (platform == descriptor.end()) { return true; }
    return string_or_none(*platform, "architecture") == oci_arch(arch) && string_or_none(*platform, "os") == "linux";
}

} // namespace

OciImage::OciImage(const std::string& path, const std::string& arch)
    : path_(path), top_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
    struct stat status {};
    if (!top_ || ::fstat(top_.get(), &status) != 0) { throw Error(std::strerror(errno)); }
    is_directory_ = S_ISDIR(status.st_mode);
    try {
        if (!is_directory_) { find_files(); }
        const json image = manifest(json::parse(text_of(file("index.json"))), arch, 0);
        read_config(blob(image.at("config")));
        for (const json& layer : image.at("layers")) {
            layers_.push_back(file(blob_name(layer.at("digest").get<std::string>())));
        }
    } catch (const json::exception& error) { throw Error(fmt::format("it is malformed: {}", error.what())); }
}

static Error no_archive() {
    return Error("it is no tar archive, or a compressed one", "unpack it first (gunzip, unxz)");
}

/// Where each file of the archive lies; its content is not read.
void OciImage::find_files() {
    const Reader reader(archive_read_new(), archive_read_free);
    archive* const raw = reader.get();
    archive_read_support_format_tar(raw); // no compression: blobs are read where they lie
    if (archive_read_open_fd(raw, top_.get(), read_size) != ARCHIVE_OK) { throw no_archive(); }
    for (archive_entry* entry = nullptr;;) {
        const int result = archive_read_next_header(raw, &entry);
        if (result == ARCHIVE_EOF) { return; }
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
            throw no_archive();
        }
        const char* const name = archive_entry_pathname(entry);
        if (name == nullptr || archive_entry_filetype(entry) != AE_IFREG || archive_entry_sparse_count(entry) != 0) {
            continue;
        }
        if (files_.size() == most_files) { throw Error("it has too many files"); }
        files_[without_dot(name)] = {top_.get(), static_cast<std::uint64_t>(archive_filter_bytes(raw, 0)),
                                     static_cast<std::uint64_t>(archive_entry_size(entry))};
    }
}

FilePart OciImage::file(const std::string& name) {
    if (!is_directory_) {
        const auto found = files_.find(name);
        if (found == files_.end()) { throw Error(fmt::format("it has no {}", name)); }
        return found->second;
    }
    Fd fd(::openat(top_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd) { throw Error(fmt::format("it has no {}: {}", name, std::strerror(errno))); }
    const FilePart part = whole(fd.get(), name);
    open_.push_back(std::move(fd));
    return part;
}

std::string OciImage::text_of(const FilePart& part) const {
    if (part.size > most_json) {
        throw Error(fmt::format("one of its descriptions has more than {} MiB", most_json >> 20U));
    }
    std::string text(part.size, '\0');
    for (std::size_t at = 0; at < text.size();) {
        const ssize_t got = ::pread(part.fd, text.data() + at, text.size() - at, static_cast<off_t>(part.offset + at));
        if (got < 0 && errno == EINTR) { continue; }
        if (got <= 0) { throw Error(got < 0 ? std::strerror(errno) : "it is cut off"); }
        at += static_cast<std::size_t>(got);
    }
    return text;
}

json OciImage::blob(const json& descriptor) {
    const auto digest = descriptor.at("digest").get<std::string>();
    const std::string text = text_of(file(blob_name(digest)));
    if ("sha256:" + sha256_hex(text) != digest) { throw Error(fmt::format("its blob {} is damaged", digest)); }
    return json::parse(text);
}

json OciImage::manifest(const json& index, const std::string& arch, int depth) {
    if (depth == most_indexes) { throw Error("its indexes lead nowhere"); }
    for (const json& descriptor : index.at("manifests")) {
        if (!is_for(descriptor, arch)) { continue; }
        return is_index(descriptor) ? manifest(blob(descriptor), arch, depth + 1) : blob(descriptor);
    }
    throw Error(fmt::format("it has no image for {}", oci_arch(arch)));
}

void OciImage::read_config(const json& config) {
    const auto found = config.find("config");
    if (found == config.end() || !found->is_object()) { return; }
    facts_.command = strings(*found, "Entrypoint");
    const std::vector<std::string> arguments = strings(*found, "Cmd");
    facts_.command.insert(facts_.command.end(), arguments.begin(), arguments.end());
    facts_.env = strings(*found, "Env");
    facts_.workdir = string_or_none(*found, "WorkingDir");
    const std::string user = string_or_none(*found, "User");
    if (user != "0" && user != "root" && user != "0:0" && user != "root:root") { facts_.user = user; }
}

std::uint64_t OciImage::layer_bytes() const {
    std::uint64_t bytes = 0;
    for (const FilePart& layer : layers_) { bytes += layer.size; }
    return bytes;
}

void OciImage::read_layers(RootBuilder& root, const BytesRead& progress) const {
    std::uint64_t before = 0;
    for (const FilePart& layer : layers_) {
        root.names().begin_layer();
        read_tar(layer, Layered::oci, root, [&](std::uint64_t bytes) { progress(before + bytes); });
        before += layer.size;
    }
}

OciFacts oci_facts(const std::string& path, const std::string& arch) {
    try {
        return OciImage(path, arch).facts();
    } catch (const Error& error) {
        OciFacts facts;
        facts.problem = error.what();
        return facts;
    }
}

} // namespace microvmc
