#include "testkit/disk_fallback.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/facts/tools.h"
#include "runtime/fd.h"
#include "runtime/process.h"
#include "testkit/temporary_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>

namespace microvmc::testkit {

namespace {

FileAnswer problem(std::string why) {
    FileAnswer answer;
    answer.problem = std::move(why);
    return answer;
}

FileAnswer unable(std::string why) {
    FileAnswer answer = problem(std::move(why));
    answer.unable = true;
    return answer;
}

FileAnswer answered(std::string content, const char* how) {
    FileAnswer answer;
    answer.content = std::move(content);
    answer.how = how;
    return answer;
}

bool is_ext(const std::string& fs_type) {
    return fs_type == "ext2" || fs_type == "ext3" || fs_type == "ext4";
}

std::string program(const std::string& name) {
    const char* path = std::getenv("PATH");
    std::string found = find_program(name, path == nullptr ? "" : path);
    if (found.empty()) { throw Error(fmt::format("{} is not installed", name)); }
    return found;
}

/// A program that looks at the image. It gets it as a descriptor: debugfs takes a question mark in a name for options,
/// mtools two at signs for an offset.
class Image {
public:
    Image(Fd fd, const DiskOptions& options) : fd_(std::move(fd)), options_(options) {}
    /// "{}" in `argv` is the image. Throws Error when the program isn't there.
    [[nodiscard]] Ran run(std::vector<std::string> argv, std::size_t output_limit = std::size_t{1} << 20U) const {
        argv.front() = program(argv.front());
        for (std::string& argument : argv) {
            if (argument == "{}") { argument = fmt::format("/proc/self/fd/{}", fd_.get()); }
        }
        RunOptions run;
        run.timeout = options_.timeout;
        run.inherit = {fd_.get()};
        run.output_limit = output_limit;
        return run_program(argv, run);
    }
    /// What `argv` says is a file's content.
    [[nodiscard]] FileAnswer read(std::vector<std::string> argv, const char* how) const {
        Ran ran = run(std::move(argv), options_.content_limit + 4096); // what goes to standard error counts, too
        if (ran.timed_out) { return problem("it was not read in time"); }
        if (ran.truncated || ran.out.size() > options_.content_limit) {
            return problem(fmt::format("it has more than the {} bytes that are read", options_.content_limit));
        }
        if (ran.status != 0) { return problem(printable(last_words(ran))); }
        return answered(std::move(ran.out), how);
    }

private:
    Fd fd_;
    const DiskOptions& options_;
};

/// What debugfs's command line takes for one word: it knows double quotes, and two of them for one.
std::string debugfs_quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"') { out += c; }
        out += c;
    }
    return out + '"';
}

bool has_journal_to_replay(const Image& image) {
    const Ran ran = image.run({"dumpe2fs", "-h", "{}"});
    return ran.out.find("needs_recovery") != std::string::npos;
}

FileAnswer read_ext(const Image& image, const FileRequest& request) {
    std::string single = request.path; // it looks for a name between two slashes
    single.erase(std::unique(single.begin(), single.end(), [](char a, char b) { return a == '/' && b == '/'; }),
                 single.end());
    const std::string path = debugfs_quoted(single);
    const Ran stat = image.run({"debugfs", "-R", "stat " + path, "{}"});
    const std::size_t at = stat.out.find("Type: ");
    if (at == std::string::npos) {
        const bool missing = stat.err.find("not found by ext2_lookup") != std::string::npos ||
                             stat.err.find("Ext2 inode is not a directory") != std::string::npos;
        return problem(missing ? "no such file" : printable(last_words(stat)));
    }
    const std::string type = stat.out.substr(at + 6, stat.out.find(' ', at + 6) - at - 6);
    if (type == "directory") { return problem("it is a directory"); }
    if (type == "symlink") { return unable("it is a symbolic link, which only libguestfs follows"); }
    if (type != "regular") { return problem("it is not a regular file"); }
    return image.read({"debugfs", "-R", "cat " + path, "{}"}, "debugfs");
}

/// debugfs doesn't look into the journal, and after a kill that is where the last writes are.
FileAnswer read_ext_replayed(const FileRequest& request, const DiskOptions& options) {
    const TemporaryDirectory directory;
    const std::string copy = directory.path() + "/image";
    RunOptions run;
    run.timeout = options.timeout;
    const Ran copied =
        run_program({program("cp"), "--sparse=always", "--reflink=auto", "--", request.image, copy}, run);
    if (copied.status != 0) { return problem("can't copy it to replay its journal: " + printable(last_words(copied))); }
    const Ran replayed = run_program({program("e2fsck"), "-p", "-E", "journal_only", copy}, run);
    constexpr int corrected = 1; // e2fsck(8)
    if (replayed.status > corrected) {
        return problem("its journal can't be replayed: " + printable(last_words(replayed)));
    }
    return read_ext(Image(Fd(::open(copy.c_str(), O_RDONLY | O_CLOEXEC)), options), request);
}

/// Patterns are what mtools takes for names: a backslash before each character that would be one.
std::string mtools_name(std::string_view path) {
    std::string out = "::";
    for (const char c : path) {
        if (std::string_view("*?[]\\").find(c) != std::string_view::npos) { out += '\\'; }
        out += c;
    }
    return out;
}

FileAnswer read_vfat(const Image& image, const FileRequest& request) {
    const std::string path = absolute_path("/", request.path);
    const std::string name = mtools_name(path);
    const auto mtools = [&](std::vector<std::string> command) {
        command.insert(command.end(), {"-i", "{}", name});
        command.front() = program(command.front());
        // An image needn't have a geometry, and names are UTF-8.
        command.insert(command.begin(), {"env", "MTOOLS_SKIP_CHECK=1", "LC_ALL=C.UTF-8"});
        return command;
    };
    // A directory's files are listed, or nothing; a file is listed as itself. mtype takes both.
    const Ran list = image.run(mtools({"mdir", "-b"}));
    if (list.status != 0) {
        const bool missing = list.err.find(" not found") != std::string::npos;
        return problem(missing ? "no such file" : printable(last_words(list)));
    }
    if (std::ranges::count(list.out, '/') != std::ranges::count(path, '/')) { return problem("it is a directory"); }
    return image.read(mtools({"mtype"}), "mtools");
}

FileAnswer read_name(const Image& image, const FileRequest& request) {
    const auto blkid = [&](const char* tag) { return image.run({"blkid", "-p", "-o", "value", "-s", tag, "{}"}); };
    const Ran type = blkid("TYPE");
    if (type.status != 0) { return problem("no file system is recognised in it"); }
    if (request.fs_type + "\n" != type.out) {
        return problem(fmt::format("it is {}, not {}", printable(last_words(type)), request.fs_type));
    }
    Ran name = blkid(request.fact == DiskFact::label ? "LABEL" : "UUID");
    if (name.out.ends_with('\n')) { name.out.pop_back(); }
    return answered(std::move(name.out), "blkid");
}

} // namespace

FileAnswer read_without_libguestfs(const FileRequest& request, const DiskOptions& options, const std::string& why) {
    // Everything that it depends on: Debian has the file systems' tools as recommendations.
    const std::string hint = fmt::format("libguestfs can't be used: {}; apt install libguestfs0 libguestfs-xfs", why);
    if (request.format != "raw") {
        return unable(fmt::format("reading a {} image takes libguestfs ({})", request.format, hint));
    }
    const bool name = request.fact != DiskFact::content;
    if (!name && !is_ext(request.fs_type) && request.fs_type != "vfat") {
        return unable(fmt::format("reading {} takes libguestfs ({})", request.fs_type, hint));
    }
    Fd fd(::open(request.image.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) { return problem(fmt::format("can't open {}: {}", request.image, std::strerror(errno))); }
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
        return problem(fmt::format("{} is not a file", request.image));
    }
    const Image image(std::move(fd), options);
    try {
        if (name) { return read_name(image, request); }
        if (request.fs_type == "vfat") { return read_vfat(image, request); }
        if (has_journal_to_replay(image)) { return read_ext_replayed(request, options); }
        return read_ext(image, request);
    } catch (const Error& error) { // a program that isn't there
        return unable(fmt::format("{} ({}; or apt install e2fsprogs mtools)", error.what(), hint));
    }
}

} // namespace microvmc::testkit
