#include "runtime/supervisor/text.h"

#include <algorithm>
#include <vector>

namespace microvmc::supervisor {

bool TextWatch::feed(std::string_view bytes) {
    if (text_.empty()) { return false; }
    const std::size_t keep = text_.size() - 1;
    // What spans the pieces, then the piece itself, which is not copied.
    std::string seam = tail_;
    seam.append(bytes.substr(0, keep));
    const bool found = seam.find(text_) != std::string::npos || bytes.find(text_) != std::string_view::npos;
    if (bytes.size() >= keep) {
        tail_ = bytes.substr(bytes.size() - keep);
    } else {
        tail_.append(bytes);
        tail_.erase(0, tail_.size() - std::min(tail_.size(), keep));
    }
    return found;
}

void Tail::feed(std::string_view bytes) {
    if (bytes.size() >= limit_) {
        text_ = bytes.substr(bytes.size() - limit_);
        return;
    }
    text_.append(bytes);
    if (text_.size() > 2 * limit_) { text_.erase(0, text_.size() - limit_); }
}

namespace {
bool control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

std::string printable(std::string_view line) {
    std::string out;
    for (const char c : line) {
        if (!control(c)) { out.push_back(c); }
    }
    return out;
}
} // namespace

std::string last_lines(std::string_view text, std::size_t lines) {
    constexpr std::size_t limit = 1024;
    std::vector<std::string> found;
    while (!text.empty() && found.size() < lines) {
        const std::size_t begin = text.find_last_of("\r\n");
        std::string line = printable(begin == std::string_view::npos ? text : text.substr(begin + 1));
        if (line.find_first_not_of(' ') != std::string::npos) { found.push_back(std::move(line)); }
        text = begin == std::string_view::npos ? std::string_view() : text.substr(0, begin);
    }
    std::string out;
    for (auto line = found.rbegin(); line != found.rend(); ++line) {
        if (!out.empty()) { out.append("; "); }
        out.append(*line);
    }
    if (out.size() > limit) { out.erase(0, out.size() - limit); }
    return out;
}

std::string line_from(std::string_view stream, std::string_view text) {
    const std::size_t at = stream.rfind(text);
    if (at == std::string_view::npos) { return {}; }
    stream.remove_prefix(at);
    return printable(stream.substr(0, std::min({stream.find_first_of("\r\n"), stream.size(), std::size_t{200}})));
}

std::string seconds(std::chrono::milliseconds duration) {
    return std::to_string(duration.count() / 1000) + "." + std::to_string(duration.count() % 1000 / 100) + "s";
}

} // namespace microvmc::supervisor
