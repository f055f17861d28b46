#include "compiler/values.h"

#include "compiler/address.h"
#include "compiler/diagnostic_codes.h"
#include "compiler/text.h"

#include <algorithm>
#include <fmt/format.h>

namespace microvmc {

namespace {

/// What a form takes, as a message says it.
std::string_view expectation(Form form) {
    switch (form) {
    case Form::boolean: return "true or false";
    case Form::integer: return "an integer";
    case Form::number: return "a number";
    case Form::size: return "a size: an integer of MiB, or a string like \"4GiB\"";
    case Form::duration: return "a duration: an integer of seconds, or a string like \"1m30s\"";
    case Form::string:
    case Form::word:
    case Form::name:
    case Form::mac:
    case Form::address:
    case Form::http: return "a string";
    case Form::flag_or_word: return "true, false or a string";
    case Form::integer_or_word: return "an integer or a string";
    case Form::names:
    case Form::hypervisors:
    case Form::texts:
    case Form::addresses: return "a string or an array of strings";
    case Form::text_or_number: return "a string or a number";
    case Form::path:
    case Form::path_or_word: return "a path";
    case Form::guest_path: return "a path in the guest";
    case Form::globs: return "an array of paths";
    case Form::strings: return "an array of strings";
    case Form::arguments: return "an array of strings, the program and its arguments";
    case Form::argument_lists: return "an array of arrays of strings, a program and its arguments each";
    case Form::string_table: return "a table of strings";
    case Form::parameters: return "an array of kernel parameters";
    case Form::table:
    case Form::named_tables: return "a table";
    case Form::collection: return "a table of named tables, or an array of tables";
    case Form::tables: return "an array of tables";
    case Form::custom: break;
    }
    return {};
}

Value scalar(std::string text, Span span) {
    return {.data = std::move(text), .span = span};
}

} // namespace

std::string_view type_name(const Node& node) {
    struct Name {
        std::string_view operator()(const Table&) const { return "a table"; }
        std::string_view operator()(const Array&) const { return "an array"; }
        std::string_view operator()(const std::string&) const { return "a string"; }
        std::string_view operator()(std::int64_t) const { return "an integer"; }
        std::string_view operator()(double) const { return "a float"; }
        std::string_view operator()(bool) const { return "a boolean"; }
        std::string_view operator()(const Datetime&) const { return "a date or time"; }
    };
    return std::visit(Name{}, node.value);
}

bool is_inherited_marker(const Node& node) {
    const std::string* text = node.string();
    return text != nullptr && *text == "...";
}

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= 31 && text.front() >= 'a' && text.front() <= 'z' &&
           std::ranges::all_of(text,
                               [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

std::string slug(std::string_view text) {
    while (text.ends_with('/')) { text.remove_suffix(1); }
    if (const auto slash = text.rfind('/'); slash != std::string_view::npos) { text.remove_prefix(slash + 1); }
    if (const auto dot = text.rfind('.'); dot != std::string_view::npos && dot != 0) { text = text.substr(0, dot); }
    std::string name;
    for (char c : text) {
        if (c >= 'A' && c <= 'Z') { c = static_cast<char>(c + 32); }
        const bool letter = c >= 'a' && c <= 'z';
        const bool other = (c >= '0' && c <= '9') || c == '-';
        if (letter || (other && !name.empty())) {
            name += c;
        } else if (!name.empty() && !name.ends_with('-')) {
            name += '-';
        }
    }
    while (name.ends_with('-')) { name.pop_back(); }
    name.resize(std::min<std::size_t>(name.size(), 31));
    return name;
}

Value default_value(const KeySchema& key) {
    const std::string_view text = key.default_text;
    std::string problem;
    switch (key.form) {
    case Form::boolean: return {.data = text == "true", .span = {}};
    case Form::integer: return {.data = *parse_number(text), .span = {}};
    case Form::size: return {.data = *parse_size(text, problem), .span = {}};
    case Form::duration: return {.data = *parse_duration(text, problem), .span = {}};
    case Form::names:
    case Form::hypervisors:
    case Form::texts:
    case Form::addresses: return {.data = Strings{{std::string(text), {}}}, .span = {}};
    case Form::number:
    case Form::string:
    case Form::word:
    case Form::flag_or_word:
    case Form::integer_or_word:
    case Form::name:
    case Form::path:
    case Form::path_or_word:
    case Form::globs:
    case Form::guest_path:
    case Form::strings:
    case Form::arguments:
    case Form::argument_lists:
    case Form::string_table:
    case Form::parameters:
    case Form::mac:
    case Form::address:
    case Form::http:
    case Form::text_or_number:
    case Form::table:
    case Form::named_tables:
    case Form::collection:
    case Form::tables:
    case Form::custom: break;
    }
    return {.data = std::string(text), .span = {}};
}

void apply_defaults(const TableSchema& schema, void* object) {
    for (const KeySchema& key : schema.keys) {
        if (!key.default_text.empty()) { key.slot.store(object, default_value(key)); }
    }
}

Diagnostic& Values::error(const char* code, const Node& at, Span span, std::string message) {
    Diagnostic& diagnostic = diagnostics_.error(code, span, std::move(message));
    if (at.route != 0) {
        const Route& route = routes_[at.route - 1];
        diagnostic.inherited = true;
        if (!route.message.empty()) { diagnostic.notes.push_back({route.span, route.message}); }
    }
    return diagnostic;
}

void Values::set_instance(std::string name, std::int64_t index) {
    instance_ = std::move(name);
    index_ = index;
}

void Values::count_up(ForwardConfig& forward, const Node& node) {
    if (index_ <= 1 || !forward.host || !forward.host->port) { return; }
    forward.host->port->value += index_ - 1;
    if (forward.host->port->value > 65535) {
        error(codes::out_of_range, node, node.span, fmt::format("the port of `{}` is beyond 65535", instance_));
    }
}

std::optional<Value> Values::wrong(const KeySchema& key, const Node& node) {
    auto& diagnostic = error(codes::wrong_type, node, node.span,
                             fmt::format("`{}` is {}, not {}", key.name, expectation(key.form), type_name(node)));
    if (const std::string* text = node.string()) {
        const bool integer = key.form == Form::integer && parse_number(*text);
        const bool flag = key.form == Form::boolean && (*text == "true" || *text == "false");
        if (integer || flag) { diagnostic.help = fmt::format("without quotes: {} = {}", key.name, *text); }
        if (key.form == Form::strings || key.form == Form::parameters || key.form == Form::globs) {
            diagnostic.help = fmt::format("in brackets: {} = [\"{}\"]", key.name, printable(*text));
        }
        if (key.form == Form::arguments) { diagnostic.help = "no shell splits it: [\"program\", \"argument\"]"; }
    }
    return std::nullopt;
}

bool Values::in_range(const KeySchema& key, const Node& node, std::int64_t value) {
    if (value >= key.min && value <= key.max) { return true; }
    const bool size = key.form == Form::size;
    const auto shown = [&](std::int64_t number) {
        return size ? format_size(static_cast<std::uint64_t>(number)) : std::to_string(number);
    };
    auto& diagnostic = error(codes::out_of_range, node, node.span,
                             value < key.min ? fmt::format("`{}` is at least {}", key.name, shown(key.min))
                                             : fmt::format("`{}` is at most {}", key.name, shown(key.max)));
    if (key.max != std::numeric_limits<std::int64_t>::max()) {
        diagnostic.help = fmt::format("it takes {} to {}", shown(key.min), shown(key.max));
    }
    return false;
}

std::optional<Value> Values::integer(const KeySchema& key, const Node& node) {
    const auto* number = std::get_if<std::int64_t>(&node.value);
    if (number == nullptr) { return wrong(key, node); }
    std::int64_t value = *number;
    if (!in_range(key, node, value)) { return std::nullopt; }
    if (key.counts != 0 && index_ > 1) {
        value += index_ - 1;
        if (!in_range(key, node, value)) { return std::nullopt; }
    }
    return Value{.data = value, .span = node.span};
}

std::optional<Value> Values::size(const KeySchema& key, const Node& node) {
    std::optional<std::int64_t> mib;
    if (const auto* number = std::get_if<std::int64_t>(&node.value)) {
        mib = *number;
        if (*number > std::int64_t{1} << 40) {
            error(codes::bad_size, node, node.span, "the size is beyond 1 EiB");
            return std::nullopt;
        }
    } else if (const std::string* text = node.string()) {
        std::string problem;
        mib = parse_size(*text, problem);
        if (!mib) {
            error(codes::bad_size, node, node.span, problem);
            return std::nullopt;
        }
    } else {
        return wrong(key, node);
    }
    if (!in_range(key, node, *mib)) { return std::nullopt; }
    return Value{.data = *mib, .span = node.span};
}

std::optional<Value> Values::duration(const KeySchema& key, const Node& node) {
    std::optional<std::int64_t> ms;
    if (const auto* number = std::get_if<std::int64_t>(&node.value)) {
        if (*number < 0 || *number > std::int64_t{365} * 24 * 3600) {
            error(codes::bad_duration, node, node.span,
                  *number < 0 ? "a duration isn't negative" : "the duration is beyond a year");
            return std::nullopt;
        }
        ms = *number * 1000;
    } else if (const std::string* text = node.string()) {
        std::string problem;
        ms = parse_duration(*text, problem);
        if (!ms) {
            error(codes::bad_duration, node, node.span, problem);
            return std::nullopt;
        }
    } else {
        return wrong(key, node);
    }
    if (*ms < key.min) {
        error(codes::out_of_range, node, node.span, fmt::format("`{}` is more than 0", key.name));
        return std::nullopt;
    }
    return Value{.data = *ms, .span = node.span};
}

std::optional<std::string> Values::text(const KeySchema& key, const Node& node) {
    const std::string* text = node.string();
    if (text == nullptr) {
        static_cast<void>(wrong(key, node));
        return std::nullopt;
    }
    return checked(key, node, *text);
}

/// The checks of one string, by form; also of an array's elements.
std::optional<std::string> Values::checked(const KeySchema& key, const Node& node, std::string text) {
    if (text.find('\0') != std::string::npos) {
        error(codes::bad_text, node, node.span, fmt::format("`{}` has a NUL character in it", key.name));
        return std::nullopt;
    }
    const auto refuse = [&](const char* code, std::string message, std::string help = {}) {
        error(code, node, node.span, std::move(message)).help = std::move(help);
        return std::nullopt;
    };
    switch (key.form) {
    case Form::word:
    case Form::flag_or_word:
    case Form::integer_or_word: return word(key, node, text);
    case Form::name:
    case Form::names:
        if (auto made = substituted(node, text)) {
            if (is_name(*made)) { return made; }
            return refuse(codes::bad_name, fmt::format("`{}` is no name", printable(*made)),
                          "a name begins with a letter and has at most 31 of a-z, 0-9 and -");
        }
        return std::nullopt;
    case Form::hypervisors: {
        std::vector<std::string_view> known{"auto"};
        for (const Traits& traits : traits_) { known.push_back(traits.name); }
        if (std::ranges::find(known, text) != known.end()) { return text; }
        const std::string_view meant = nearest(text, known);
        return refuse(codes::unknown_value, fmt::format("`{}` is no hypervisor", printable(text)),
                      meant.empty() ? fmt::format("it takes {}", list_or(known))
                                    : fmt::format("did you mean `{}`?", meant));
    }
    case Form::path:
    case Form::globs: return path(node, text);
    case Form::path_or_word:
        if (std::ranges::find(key.words, text) != key.words.end()) { return text; }
        return path(node, text);
    case Form::guest_path: return guest_path(node, text);
    case Form::mac: {
        std::string mac = normal_mac(text);
        if (mac.empty()) {
            return refuse(codes::bad_address, fmt::format("`{}` is no MAC address", printable(text)),
                          "it is written \"02:00:00:00:00:01\"");
        }
        if (constexpr std::string_view odd = "13579bdf"; odd.find(mac[1]) != std::string_view::npos) {
            return refuse(codes::bad_address, fmt::format("`{}` is a multicast address", mac),
                          "an interface's address is unicast: its second digit is even");
        }
        if (mac == "00:00:00:00:00:00") { return refuse(codes::bad_address, "a MAC address isn't all zeros"); }
        return index_ > 1 ? next_mac(mac, static_cast<std::uint64_t>(index_ - 1)) : mac;
    }
    case Form::address:
        if (!is_address(text)) {
            return refuse(codes::bad_address, fmt::format("`{}` is no IP address", printable(text)));
        }
        return text;
    case Form::addresses: {
        if (text == "dhcp") { return text; }
        if (!parse_subnet(text)) {
            return refuse(codes::bad_address, fmt::format("`{}` is no IP address", printable(text)),
                          "it is \"dhcp\", or written \"10.0.0.5\", \"10.0.0.5/24\" or \"fd00::5/64\"");
        }
        if (key.counts == 0 || index_ <= 1) { return text; }
        std::string next = next_address(text, static_cast<std::uint64_t>(index_ - 1));
        if (next.empty()) {
            return refuse(codes::bad_address, fmt::format("there is no address for `{}` after `{}`", instance_, text));
        }
        return next;
    }
    case Form::http: {
        const auto slash = text.find('/');
        const auto port =
            text.starts_with(':')
                ? parse_number(std::string_view(text).substr(1, slash == std::string::npos ? slash : slash - 1))
                : std::nullopt;
        if (!port || *port < 1 || *port > 65535 || has_control(text) || text.find(' ') != std::string::npos) {
            return refuse(codes::bad_text, fmt::format("`{}` is no address of a page", printable(text)),
                          "it is written \":PORT/PATH\", for instance \":80/\"");
        }
        return text;
    }
    case Form::parameters:
        if (text.empty() || has_control(text)) {
            return refuse(codes::bad_text, text.empty() ? "a kernel parameter is not empty"
                                                        : "a kernel parameter has no control characters");
        }
        if (text.find('"') != std::string::npos) {
            return refuse(codes::bad_text, "a kernel parameter can't have a double quote in it",
                          "the kernel's command line has no way to write one; spaces are quoted for you");
        }
        return text;
    case Form::arguments:
    case Form::argument_lists:
    case Form::strings:
    case Form::texts:
    case Form::string:
    case Form::text_or_number:
    case Form::string_table: return text;
    case Form::table: // its shorthand
        if (!key.words.empty()) { return word(key, node, text); }
        return text;
    case Form::boolean:
    case Form::integer:
    case Form::number:
    case Form::size:
    case Form::duration:
    case Form::named_tables:
    case Form::collection:
    case Form::tables:
    case Form::custom: break;
    }
    return text;
}

std::optional<std::string> Values::word(const KeySchema& key, const Node& node, const std::string& text) {
    if (std::ranges::find(key.words, text) != key.words.end()) { return text; }
    auto& diagnostic = error(codes::unknown_value, node, node.span,
                             fmt::format("`{}` is no value of `{}`", printable(text), key.name));
    std::vector<std::string_view> known(key.words.begin(), key.words.end());
    const std::string_view meant = nearest(text, known);
    if (key.form == Form::flag_or_word) { known.insert(known.begin(), {"true", "false"}); }
    if (key.form == Form::integer_or_word) { known.insert(known.begin(), "a number"); }
    if (key.form == Form::table) { known.emplace_back("a table"); }
    diagnostic.help = meant.empty() ? fmt::format("it takes {}", list_or(known))
                                    : fmt::format("did you mean `{}`? It takes {}", meant, list_or(known));
    return std::nullopt;
}

std::optional<std::string> Values::substituted(const Node& node, const std::string& text) {
    if (text.find('$') == std::string::npos) { return text; }
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const std::string_view rest = std::string_view(text).substr(i);
        if (!instance_.empty() && rest.starts_with("${name}")) {
            out += instance_;
            i += 7;
        } else if (!instance_.empty() && rest.starts_with("${index}")) {
            out += std::to_string(index_);
            i += 8;
        } else if (rest.starts_with('$')) {
            error(codes::bad_path, node, node.span, fmt::format("`{}` has a variable in it", printable(text))).help =
                "a plan must not depend on who makes it; only ${name} and ${index} are replaced";
            return std::nullopt;
        } else {
            out += text[i++];
        }
    }
    return out;
}

std::optional<std::string> Values::path(const Node& node, const std::string& text) {
    if (text.empty() || has_control(text)) {
        error(codes::bad_path, node, node.span,
              text.empty() ? "a path is not empty" : "a path has no control characters");
        return std::nullopt;
    }
    if (text.starts_with('~')) {
        error(codes::bad_path, node, node.span, fmt::format("`{}` depends on whose home it is", printable(text))).help =
            "write the whole path; one that doesn't begin with / is relative to this file";
        return std::nullopt;
    }
    auto made = substituted(node, text);
    if (!made) { return std::nullopt; }
    return absolute_path(sources_.files.at(node.span.file).directory, *made);
}

std::optional<std::string> Values::guest_path(const Node& node, const std::string& text) {
    if (!text.starts_with('/') || has_control(text)) {
        error(codes::bad_path, node, node.span, fmt::format("`{}` is no absolute path in the guest", printable(text)))
            .help = "begin it with /";
        return std::nullopt;
    }
    if ((text + "/").find("/../") != std::string::npos) {
        error(codes::bad_path, node, node.span, "a path in the guest has no `..`");
        return std::nullopt;
    }
    return absolute_path("/", text);
}

std::optional<Strings> Values::list(const KeySchema& key, const Node& node, bool one_allowed) {
    Strings strings;
    if (node.string() != nullptr && one_allowed) {
        auto one = text(key, node);
        if (!one) { return std::nullopt; }
        strings.push_back({std::move(*one), node.span});
        return strings;
    }
    const Array* array = node.array();
    if (array == nullptr) {
        static_cast<void>(wrong(key, node));
        return std::nullopt;
    }
    bool good = true;
    bool marked = false;
    strings.reserve(array->items.size());
    for (const Node& item : array->items) {
        if (is_inherited_marker(item)) { // nothing was inherited
            if (marked) { error(codes::conflicting_keys, item, item.span, "\"...\" stands once in an array"); }
            marked = true;
            continue;
        }
        const std::string* element = item.string();
        if (element == nullptr) {
            error(codes::wrong_type, item, item.span,
                  fmt::format("an element of `{}` is a string, not {}", key.name, type_name(item)));
            good = false;
            continue;
        }
        if (auto made = checked(key, item, *element)) {
            strings.push_back({std::move(*made), item.span});
        } else {
            good = false;
        }
    }
    if (const auto dhcp = std::ranges::find(strings, "dhcp", &Located<std::string>::value);
        key.form == Form::addresses && strings.size() > 1 && dhcp != strings.end()) {
        error(codes::conflicting_keys, node, dhcp->span, "\"dhcp\" stands alone, without addresses");
        return std::nullopt;
    }
    return good ? std::optional(std::move(strings)) : std::nullopt;
}

std::optional<Value> Values::string_table(const KeySchema& key, const Node& node) {
    const Table* table = node.table();
    if (table == nullptr) { return wrong(key, node); }
    StringTable made;
    for (const Member& member : table->members) {
        if (member.value.is_false()) { continue; } // removed, by merging
        const std::string* text = member.value.string();
        if (text == nullptr) {
            error(codes::wrong_type, member.value, member.value.span,
                  fmt::format("`{}.{}` is a string, not {}", key.name, printable(member.key), type_name(member.value)));
            continue;
        }
        if (member.key.empty() || has_control(member.key) || member.key.find('=') != std::string::npos) {
            error(codes::bad_name, member.value, member.key_span,
                  fmt::format("`{}` is no name of a variable", printable(member.key)));
            continue;
        }
        if (auto good = checked(key, member.value, *text)) {
            made.emplace_back(Located<std::string>{member.key, member.key_span},
                              Located<std::string>{std::move(*good), member.value.span});
        }
    }
    return Value{.data = std::move(made), .span = node.span};
}

std::optional<std::string> Values::scalar_text(const Node& node) {
    if (const std::string* text = node.string()) { return *text; }
    if (const auto* number = std::get_if<std::int64_t>(&node.value)) { return std::to_string(*number); }
    if (const bool* flag = std::get_if<bool>(&node.value)) { return *flag ? "true" : "false"; }
    error(codes::wrong_type, node, node.span,
          fmt::format("this is a string, an integer or a boolean, not {}", type_name(node)));
    return std::nullopt;
}

bool Values::check_name(const Node& node, std::string_view name, Span span, std::string_view noun) {
    if (is_name(name)) { return true; }
    error(codes::bad_name, node, span, fmt::format("`{}` is no name of a {}", printable(name), noun)).help =
        "a name begins with a letter and has at most 31 of a-z, 0-9 and -";
    return false;
}

std::optional<Value> Values::read(const KeySchema& key, const Node& node) {
    switch (key.form) {
    case Form::boolean:
        if (const bool* flag = std::get_if<bool>(&node.value)) { return Value{.data = *flag, .span = node.span}; }
        return wrong(key, node);
    case Form::integer: return integer(key, node);
    case Form::number: {
        double number = 0;
        if (const auto* whole = std::get_if<std::int64_t>(&node.value)) {
            number = static_cast<double>(*whole);
        } else if (const double* real = std::get_if<double>(&node.value)) {
            number = *real;
        } else {
            return wrong(key, node);
        }
        if (!(number > 0 && number < 1e6)) {
            error(codes::out_of_range, node, node.span, fmt::format("`{}` is more than 0", key.name));
            return std::nullopt;
        }
        return Value{.data = number, .span = node.span};
    }
    case Form::size: return size(key, node);
    case Form::duration: return duration(key, node);
    case Form::flag_or_word:
        if (const bool* flag = std::get_if<bool>(&node.value)) { return scalar(*flag ? "true" : "false", node.span); }
        [[fallthrough]];
    case Form::string:
    case Form::word:
    case Form::name:
    case Form::path:
    case Form::path_or_word:
    case Form::guest_path:
    case Form::mac:
    case Form::address:
    case Form::http:
    case Form::table: { // its shorthand
        auto made = text(key, node);
        if (!made) { return std::nullopt; }
        return scalar(std::move(*made), node.span);
    }
    case Form::integer_or_word:
        if (std::holds_alternative<std::int64_t>(node.value)) {
            auto value = integer(key, node);
            if (!value) { return std::nullopt; }
            return scalar(std::to_string(std::get<std::int64_t>(value->data)), node.span);
        }
        if (auto made = text(key, node)) { return scalar(std::move(*made), node.span); }
        return std::nullopt;
    case Form::text_or_number:
        if (const auto* whole = std::get_if<std::int64_t>(&node.value)) {
            return scalar(std::to_string(*whole), node.span);
        }
        if (const double* real = std::get_if<double>(&node.value)) {
            return scalar(fmt::format("{}", *real), node.span);
        }
        if (auto made = text(key, node)) { return scalar(std::move(*made), node.span); }
        return std::nullopt;
    case Form::names:
    case Form::hypervisors:
    case Form::texts:
    case Form::addresses:
    case Form::globs:
    case Form::strings:
    case Form::parameters:
    case Form::arguments: {
        const bool one = key.form == Form::names || key.form == Form::hypervisors || key.form == Form::texts ||
                         key.form == Form::addresses;
        auto strings = list(key, node, one);
        if (!strings) { return std::nullopt; }
        if (strings->empty() && (key.form == Form::arguments || key.form == Form::hypervisors)) {
            error(codes::out_of_range, node, node.span, fmt::format("`{}` is empty", key.name)).help =
                key.form == Form::arguments ? "its first element is the program; leave the key out for none" : "";
            return std::nullopt;
        }
        return Value{.data = std::move(*strings), .span = node.span};
    }
    case Form::argument_lists: {
        const Array* array = node.array();
        if (array == nullptr) { return wrong(key, node); }
        std::vector<Strings> lists;
        for (const Node& item : array->items) {
            if (is_inherited_marker(item)) { continue; }
            if (item.array() == nullptr) { return wrong(key, item); }
            if (auto strings = list(key, item, false)) {
                if (strings->empty()) {
                    error(codes::out_of_range, item, item.span, fmt::format("a program of `{}` is empty", key.name));
                }
                lists.push_back(std::move(*strings));
            }
        }
        return Value{.data = std::move(lists), .span = node.span};
    }
    case Form::string_table: return string_table(key, node);
    case Form::named_tables:
    case Form::collection:
    case Form::tables:
    case Form::custom: break;
    }
    return std::nullopt;
}

} // namespace microvmc
