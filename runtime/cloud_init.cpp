#include "runtime/cloud_init.h"

#include "compiler/text.h"
#include "runtime/byte_order.h"
#include "runtime/error.h"
#include "runtime/files.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>

namespace microvmc {

namespace {

using Writer = std::unique_ptr<archive, int (*)(archive*)>;
using EntryPointer = std::unique_ptr<archive_entry, void (*)(archive_entry*)>;

constexpr std::size_t sector = 2048;
constexpr std::size_t most_of_one = std::size_t{4} << 20U; // cloud-init's files are kilobytes
constexpr std::size_t overhead = std::size_t{1} << 20U;    // of the file system

void check(archive* writer, int result) {
    if (result == ARCHIVE_OK) { return; }
    const char* const why = archive_error_string(writer);
    throw Error(fmt::format("can't make the disk for cloud-init: {}", why == nullptr ? "libarchive failed" : why));
}

void zero(std::string& image, std::size_t at, std::size_t count, char with = '\0') {
    if (at + count <= image.size()) { std::fill_n(image.begin() + static_cast<std::ptrdiff_t>(at), count, with); }
}

/// The date of a directory's record (ECMA-119, 9.1.5), and those that Rock Ridge has beside it (RRIP 4.1.6: "TF").
void forget_dates_of_record(std::string& image, std::size_t record) {
    constexpr std::size_t date_at = 18;
    constexpr std::size_t date_size = 7;
    constexpr std::size_t name_size_at = 32;
    constexpr std::size_t flags_end = 5; // signature, length, version, which dates there are
    zero(image, record + date_at, date_size);
    const std::size_t end = record + static_cast<unsigned char>(image.at(record));
    const std::size_t name = static_cast<unsigned char>(image.at(record + name_size_at));
    std::size_t at = record + name_size_at + 1 + name + (name % 2 == 0 ? 1 : 0);
    while (at + flags_end <= end) {
        const std::size_t length = static_cast<unsigned char>(image.at(at + 2));
        if (length < flags_end) { return; }
        if (image.compare(at, 2, "TF") == 0) { zero(image, at + flags_end, length - flags_end); }
        at += length;
    }
}

/// libarchive puts the time of day into the volume descriptors (ECMA-119, 8.4.26: 17 bytes each from 813 on; digits of
/// zero say that it isn't known), into the records of the root directory, and as text into a block of its own behind
/// the descriptors.
void forget_dates(std::string& image) {
    constexpr std::size_t first_descriptor = 16;
    constexpr std::size_t root_at = 156;
    constexpr std::size_t extent_at = 2;
    constexpr std::size_t dates_at = 813;
    constexpr std::size_t dates = 4;
    constexpr std::size_t date_size = 17;
    constexpr char terminator = '\xff';
    std::size_t at = first_descriptor * sector;
    for (; at + sector <= image.size() && image[at] != terminator; at += sector) {
        for (std::size_t i = 0; i < dates; ++i) {
            zero(image, at + dates_at + i * date_size, date_size - 1, '0');
            zero(image, at + dates_at + (i + 1) * date_size - 1, 1);
        }
        forget_dates_of_record(image, at + root_at);
        // The first two records are the directory itself and what is above it: itself again.
        const std::size_t itself = little_endian(image, at + root_at + extent_at, 4) * sector;
        forget_dates_of_record(image, itself);
        forget_dates_of_record(image, itself + static_cast<unsigned char>(image.at(itself)));
    }
    zero(image, at + sector, sector);
}

std::string file_or(const std::string& path, const std::string& otherwise) {
    if (path.empty()) { return otherwise; }
    auto content = read_file(path, most_of_one);
    if (!content) { throw Error(fmt::format("there is no {}", printable(path))); }
    return std::move(*content);
}

} // namespace

std::string cloud_init_path(const VmPlan& vm) {
    return vm.state_dir + "/cloud-init.iso";
}

std::string cloud_init_image(const std::vector<std::pair<std::string, std::string>>& files) {
    std::size_t size = overhead;
    for (const auto& [name, content] : files) { size += content.size() + sector; }
    std::string image(size, '\0');
    std::size_t used = 0;
    const Writer writer(archive_write_new(), archive_write_free);
    archive* const raw = writer.get();
    check(raw, archive_write_set_format_iso9660(raw));
    check(raw, archive_write_set_options(raw, "volume-id=cidata,rockridge=useful,joliet,pad=1"));
    check(raw, archive_write_open_memory(raw, image.data(), image.size(), &used));
    for (const auto& [name, content] : files) {
        const EntryPointer entry(archive_entry_new(), archive_entry_free);
        archive_entry_set_pathname(entry.get(), name.c_str());
        archive_entry_set_filetype(entry.get(), AE_IFREG);
        archive_entry_set_perm(entry.get(), 0644);
        archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
        archive_entry_set_mtime(entry.get(), 0, 0);
        archive_entry_set_atime(entry.get(), 0, 0);
        archive_entry_set_ctime(entry.get(), 0, 0);
        archive_entry_set_birthtime(entry.get(), 0, 0);
        check(raw, archive_write_header(raw, entry.get()));
        if (archive_write_data(raw, content.data(), content.size()) != static_cast<la_ssize_t>(content.size())) {
            check(raw, ARCHIVE_FATAL);
        }
    }
    check(raw, archive_write_close(raw));
    image.resize(used);
    forget_dates(image);
    return image;
}

void build_cloud_init(const BuildCloudInit& request) {
    const CloudInitPlan& source = request.source;
    const std::string meta_data =
        fmt::format("instance-id: {}\nlocal-hostname: {}\n", source.instance_id, request.hostname);
    std::vector<std::pair<std::string, std::string>> files{
        {"meta-data", file_or(source.meta_data, meta_data)},
        {"user-data", file_or(source.user_data, "#cloud-config\n")},
    };
    if (!source.network_config.empty()) { files.emplace_back("network-config", file_or(source.network_config, {})); }
    write_whole(request.output, cloud_init_image(files), 0600);
}

} // namespace microvmc
