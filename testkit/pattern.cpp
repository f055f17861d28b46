#include "testkit/pattern.h"

#include "runtime/error.h"

#include <boost/regex.hpp>

#include <exception>

namespace microvmc::testkit {

struct Pattern::Compiled {
    boost::regex regex;
};

std::optional<Pattern> Pattern::compile(std::string_view expression, std::string& problem) {
    try {
        Pattern pattern;
        pattern.compiled_ = std::make_shared<const Compiled>(
            Compiled{boost::regex(expression.begin(), expression.end(), boost::regex::ECMAScript)});
        return pattern;
    } catch (const boost::regex_error& error) {
        // "Unmatched ( or \(.  The error occurred while ...": where is what the caret shows.
        const std::string_view said = error.what();
        problem = said.substr(0, said.find(".  The error occurred"));
        return std::nullopt;
    }
}

std::optional<std::string> Pattern::find(std::string_view text) const {
    boost::match_results<std::string_view::const_iterator> found;
    try {
        if (!boost::regex_search(text.begin(), text.end(), found, compiled_->regex, boost::match_not_dot_newline)) {
            return std::nullopt;
        }
    } catch (const std::runtime_error& error) { // boost::regex_error is one
        throw Error("searching for the regular expression takes too many steps",
                    "write it so that there are fewer ways to match: not (a*)*");
    }
    return found.size() > 1 ? found[1].str() : found[0].str();
}

std::string pattern_quoted(std::string_view text) {
    constexpr std::string_view special = R"(\^$.|?*+()[]{}/-)";
    std::string out;
    for (const char c : text) {
        if (special.find(c) != std::string_view::npos) { out += '\\'; }
        out += c;
    }
    return out;
}

} // namespace microvmc::testkit
