#include "compiler/reference_text.h"

#include "compiler/schema_text.h"

#include <algorithm>
#include <fmt/format.h>

namespace microvmc {

namespace {

constexpr ReferenceSection preface[] = {
    {"A first file", R"(A machine is a table. This is a whole project:

```
[vm.web]
mem = "256MiB"
command = ["httpd", "-f", "-p", "80", "-h", "/srv/www"]
shares.www = { source = "www", mount-point = "/srv/www", read-only = true }
forward-ports = ["8080:80"]
ready.http = ":80/"
```

Everything else has a default, or is derived: `microvmc plan` shows what became of each. A key or a value that the
language doesn't know is an error, with the nearest one that it does know; nothing is ignored.)"},
    {"Sizes and durations",
     R"(- A size is an integer of MiB, or a string with a binary unit: `512`, `"512MiB"`, `"512M"`, `"4GiB"`, `"4G"`, `"1TiB"`.
  `MB` and `GB` are refused, because people mean different things by them.
- A duration is an integer of seconds, or a string of hours, minutes, seconds and milliseconds: `90`, `"1m30s"`, `"2h"`,
  `"500ms"`.)"},
    {"Names and paths",
     R"(- Names of projects, machines, volumes and so on begin with a letter and have at most 31 of `a-z`, `0-9` and `-`. They
  become file names, host names and tags.
- A path on the host is relative to the file that says it. `~` and environment variables are refused: a plan must not
  depend on who makes it.
- A path in the guest is absolute.
- An argv is an array, the program first: `["sleep", "10"]`. No shell splits it.)"},
    {"Collections",
     R"(A collection (volumes, shares, interfaces, forwarded ports, devices) is written in either of two ways. A table of named
tables:

```
volumes.data  = { size = "1GiB", mount-point = "/data" }
volumes.cache = { size = "2GiB", mount-point = "/var/cache" }
```

or an array, whose elements may carry a `name`:

```
[[vm.web.volumes]]
name = "data"
size = "1GiB"
mount-point = "/data"
```

Elements keep the order of the text. Names tell them apart, so that an edited file changes the right one; an element
without one gets a name from what it is. TOML gives every key below a `[header]` to that header: write a machine's own
keys first, then its `[[...]]` tables.)"},
    {"Layers, and how they merge", R"(What a machine is can come from several layers. The nearest wins:

- the machine's own `[vm.NAME]`,
- the templates that it names with `extends`, later ones first,
- `[defaults]`, which is under every machine.

Files are layers as well: `-f base.toml -f site.toml` puts the second over the first, and what `include` names is under
the file that says it. One rule merges them all:

- Tables merge key by key.
- Collections merge by name; elements without a name are appended.
- Everything else is replaced by the nearer layer.
- `"..."` in an array stands for the inherited elements: `kernel-params = ["...", "panic=5"]`.
- `NAME = false` removes an inherited element: `volumes.cache = false`.
- A table that is a choice (`root`, `ready`, a credential) is replaced whole by a nearer choice.)"},
    {"Many of one kind",
     R"(`count = 3` makes `NAME-1`, `NAME-2` and `NAME-3`. What must differ rises by one from each to the next: addresses, MAC
addresses, ports of the host, vsock context ids. In paths and names, `${name}` and `${index}` are the machine's name and
number:

```
[vm.web]
count = 3
forward-ports = ["8081:80"] # 8081, 8082, 8083
shares.www = { source = "sites/${index}", mount-point = "/srv/www" }
```)"},
    {"Hypervisors",
     R"(`hypervisor = "auto"` takes the first hypervisor that is installed, works on this host, and has every capability that the
machine asks for. A name, or an array of names in order of preference, narrows that down. What a hypervisor can't do is
an error that says why and what would do it; `microvmc hypervisors` prints the whole table. A table of a hypervisor's own
keys, such as `[vm.NAME.qemu]`, is kept, and unused, when another one is chosen.)"},
};

std::string joined(std::span<const std::string_view> words, std::string_view last) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i != 0) { text += i + 1 == words.size() ? fmt::format(" {} ", last) : ", "; }
        text += fmt::format("`{}`", words[i]);
    }
    return text;
}

std::string rules(const TableSchema& schema) {
    std::vector<std::string> said;
    if (schema.one_of.size() > 1) {
        said.push_back(fmt::format("Takes {} of {}.", schema.one_required ? "exactly one" : "at most one",
                                   joined(schema.one_of, "and")));
    }
    if (!schema.name_from.empty()) {
        said.push_back(schema.name_from.size() == 1
                           ? fmt::format("Without a name, it is called after {}.", joined(schema.name_from, "or"))
                           : fmt::format("Without a name, it is called after the first of {} that is there.",
                                         joined(schema.name_from, "or")));
    }
    return fmt::format("{}", fmt::join(said, " "));
}

/// `path`: of the table itself, without brackets.
void walk(const TableSchema& schema, const std::string& path, std::vector<ReferenceTable>& tables,
          std::vector<std::string>& paths) {
    for (const KeySchema& key : schema.keys) {
        if (key.table == nullptr) { continue; }
        std::string place = path.empty() ? std::string(key.name) : fmt::format("{}.{}", path, key.name);
        if (key.form != Form::table && key.form != Form::tables) { place += ".NAME"; }
        auto found = std::ranges::find(tables, key.table, &ReferenceTable::schema);
        if (found == tables.end()) {
            tables.push_back({key.table, {}, rules(*key.table)});
            paths.emplace_back();
            found = std::prev(tables.end());
        }
        const bool repeated = key.form == Form::tables;
        found->places.push_back(
            {fmt::format("{0}{1}{2}", repeated ? "[[" : "[", place, repeated ? "]]" : "]"), key.doc});
        paths[static_cast<std::size_t>(found - tables.begin())] = std::move(place);
    }
}

} // namespace

std::span<const ReferenceSection> reference_preface() {
    return preface;
}

std::vector<ReferenceTable> reference_tables(const TableSchema& root) {
    std::vector<ReferenceTable> tables{{&root, {{"", "The top of the file."}}, {}}};
    // Of several places, the last is the one that others are named by: [vm.NAME], not [defaults].
    std::vector<std::string> paths(1);
    for (std::size_t i = 0; i < tables.size(); ++i) { walk(*tables[i].schema, std::string(paths[i]), tables, paths); }
    return tables;
}

std::string default_text(const KeySchema& key) {
    if (!key.default_text.empty()) { return fmt::format("`{}`", key.default_text); }
    return std::string(key.derived);
}

} // namespace microvmc
