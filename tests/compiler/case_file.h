#pragma once

#include <sstream>
#include <string>
#include <utility>
#include <vector>

// Files of cases: `=== title`, a text, `--- NAME` with other parts, `---` and what is expected.

namespace microvmc::golden {

struct FiledCase {
    std::string title;
    std::string text;
    std::vector<std::pair<std::string, std::string>> parts; ///< in their order
    std::string expected;
};

inline std::vector<FiledCase> read_case_file(const std::string& text) {
    std::vector<FiledCase> cases;
    std::string* part = nullptr;
    std::stringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("=== ")) {
            cases.push_back({line.substr(4), {}, {}, {}});
            part = &cases.back().text;
        } else if (line == "---" && part != nullptr) {
            part = &cases.back().expected;
        } else if (line.starts_with("--- ") && part != nullptr) {
            part = &cases.back().parts.emplace_back(line.substr(4), "").second;
        } else if (part != nullptr) {
            *part += line + "\n";
        }
    }
    return cases;
}

inline std::string write_case(const FiledCase& one) {
    std::string text = "=== " + one.title + "\n" + one.text;
    for (const auto& [name, part] : one.parts) { text += "--- " + name + "\n" + part; }
    return text + "---\n" + one.expected;
}

/// Control and other odd characters are written \0xNN in a file of cases.
inline std::string unescaped(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text.compare(i, 3, "\\0x") == 0 && i + 4 < text.size()) {
            out += static_cast<char>(std::stoi(text.substr(i + 3, 2), nullptr, 16));
            i += 4;
        } else {
            out += text[i];
        }
    }
    return out;
}

} // namespace microvmc::golden
