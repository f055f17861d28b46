#include "compiler/include.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/text.h"
#include "compiler/values.h"

#include <fmt/format.h>

#include <filesystem>
#include <unordered_map>

namespace microvmc {

namespace {

constexpr std::size_t max_files = 256; // also the depth of the recursion
constexpr std::size_t max_patterns = 1024;
constexpr std::size_t max_read = 4 * max_source_bytes; // files that are named again and again are read again

/// A file that a relative path in `from` named, as people know it who know `from` by its path: relative where that is.
std::string shown_path(const std::string& path, const SourceFile& from) {
    if (!path.starts_with('/') || from.path.starts_with('/')) { return path; }
    const std::filesystem::path folder = std::filesystem::path(from.path).parent_path();
    return (folder / std::filesystem::path(path).lexically_relative(from.directory)).lexically_normal().string();
}

/// For a place that isn't meant as a pattern, as glob(7) has it.
std::string escaped(std::string_view directory) {
    std::string out;
    for (const char c : directory) {
        if (c == '*' || c == '?' || c == '[' || c == '\\') { out += '\\'; }
        out += c;
    }
    return out;
}

class Includes {
public:
    Includes(Sources& sources, const IncludeReader& read, Diagnostics& diagnostics)
        : sources_(sources), read_(read), diagnostics_(diagnostics) {}

    std::vector<Document> parse_all() {
        const auto named = static_cast<std::uint32_t>(sources_.files.size());
        for (std::uint32_t file = 0; file < named; ++file) { count(file, {file, {}, {}}); }
        for (std::uint32_t file = 0; file < named; ++file) {
            // Also one that another file includes has its own place in the order: it was named.
            seen_.erase(identity(file));
            take(file);
        }
        return std::move(documents_);
    }

private:
    enum class State { open, done };

    std::string identity(std::uint32_t file) const {
        const SourceFile& source = sources_.files[file];
        return source.directory + "/" + source.path.substr(source.path.rfind('/') + 1);
    }

    /// False: with this one it is too much.
    bool count(std::uint32_t file, const Span& span) {
        const std::size_t before = bytes_;
        bytes_ += sources_.files[file].text.size();
        if (bytes_ <= max_source_bytes) { return true; }
        // Parsing says so of one file that is too large by itself.
        if (before <= max_source_bytes && sources_.files[file].text.size() <= max_source_bytes) {
            diagnostics_.error(codes::too_large, span, "the files together have more than 8 MiB");
        }
        return false;
    }

    void take(std::uint32_t file) {
        const std::string self = identity(file);
        seen_[self] = State::open;
        if (auto document = parse(sources_, file, diagnostics_)) {
            if (const Member* include = document->root.table()->find("include")) { follow(include->value, file); }
            documents_.push_back(std::move(*document));
        }
        seen_[self] = State::done;
    }

    void follow(const Node& include, std::uint32_t file) {
        const Array* patterns = include.array();
        if (patterns == nullptr) { return; } // decoding says so
        for (const Node& pattern : patterns->items) {
            const std::string* text = pattern.string();
            if (text == nullptr || text->empty() || text->starts_with('~') || text->find('$') != std::string::npos ||
                is_inherited_marker(pattern)) {
                continue; // so does it here
            }
            if (!afford(pattern.span)) { return; }
            const std::string path = absolute_path(escaped(sources_.files[file].directory), *text);
            Included found = read_ ? read_(path) : Included{{}, "files can't be included here"};
            if (!found.problem.empty()) {
                diagnostics_.error(codes::include_failed, pattern.span,
                                   fmt::format("can't include `{}`: {}", printable(*text), found.problem));
                continue;
            }
            for (SourceFile& each : found.files) {
                read_bytes_ += each.text.size();
                each.included = true;
                if (!text->starts_with('/')) { each.path = shown_path(each.path, sources_.files[file]); }
                add(std::move(each), pattern.span);
            }
        }
    }

    /// False: enough was read, or asked for.
    bool afford(const Span& span) {
        if (exhausted_) { return false; }
        const bool many = ++patterns_ > max_patterns;
        exhausted_ = many || read_bytes_ > max_read;
        if (exhausted_) {
            diagnostics_.error(many ? codes::too_many : codes::too_large, span,
                               many ? fmt::format("`include` names more than {} files", max_patterns)
                                    : "the files that are included, some of them again, have more than 32 MiB");
        }
        return !exhausted_;
    }

    void add(SourceFile source, const Span& span) {
        const auto file = static_cast<std::uint32_t>(sources_.files.size());
        sources_.files.push_back(std::move(source));
        const auto known = seen_.find(identity(file));
        if (known != seen_.end()) {
            if (known->second == State::open) {
                diagnostics_.error(codes::include_cycle, span,
                                   fmt::format("{} includes itself", printable(sources_.files[file].path)));
            }
            sources_.files.pop_back();
            return;
        }
        if (sources_.files.size() > max_files) {
            if (sources_.files.size() == max_files + 1) {
                diagnostics_.error(codes::too_many, span, fmt::format("more than {} files are included", max_files));
            }
            return;
        }
        if (count(file, span)) { take(file); }
    }

    Sources& sources_;
    const IncludeReader& read_;
    Diagnostics& diagnostics_;
    std::vector<Document> documents_;
    std::unordered_map<std::string, State> seen_;
    std::size_t bytes_ = 0;
    std::size_t read_bytes_ = 0;
    std::size_t patterns_ = 0;
    bool exhausted_ = false;
};

} // namespace

std::vector<Document> parse_all(Sources& sources, const IncludeReader& read, Diagnostics& diagnostics) {
    return Includes(sources, read, diagnostics).parse_all();
}

} // namespace microvmc
