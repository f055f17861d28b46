#pragma once

#include "compiler/compile.h"
#include "compiler/config.h"
#include "compiler/source.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

// A spec as the runner gets it: the cases that its matrix comes to, typed, with the places of everything. The text's
// axes are substituted; what is left of `${...}` in a step is a capture or a reference into the plan
// (`${vm.a.forward-ports.web.host.port}`), known only when the step is reached. Durations are milliseconds.

namespace microvmc::testkit {

/// Text of a step that may have `${...}` in it, and where it stands.
using Text = Located<std::string>;

/// `guest`: a command under `sh -c` in the guest, by its agent. Gives its standard output, and its status. Its text is
/// the shell's alone: nothing is replaced in it, values come by its environment.
struct GuestStep {
    Located<std::string> command;
};
/// `host`: argv on the host. Gives its standard output, and its status.
struct HostStep {
    std::vector<Text> argv;
};
/// `http`: GET. Gives the body; the status is HTTP's.
struct HttpStep {
    Text url;
};
/// `tcp`: connects to ADDRESS:PORT, sends a text and reads what is said until the other side closes. Status 0; 1 when
/// refused.
struct TcpStep {
    Text address;
    Text send;
};
/// `udp`: sends a text to ADDRESS:PORT in one datagram and gives the first that comes back. Status 0.
struct UdpStep {
    Text address;
    Text send;
};
/// `ping`: ADDRESS from inside the guest. Status 0 when it answers.
struct PingStep {
    Text address;
};
/// `console`: types text, `times` times over, and gives what the console has said since the last console step of the
/// machine (or its start).
struct ConsoleStep {
    Text type;
    std::int64_t times = 1;
};
/// `vm`: what is done to the machine.
struct VmStep {
    enum class Verb {
        start,
        stop,    ///< graceful; an answer of the guest that it was killed instead is wrong
        kill,    ///< the VMM, at once
        restart, ///< stop and start
        reboot,  ///< the guest's own: awaited until it is ready again
        wait,    ///< until it ended by itself; gives how ("poweroff", "exited", "panic", ...), status the exited one's
        pause,
        resume,
        snapshot,
        restore,
        autostart, ///< started as those are that start with the host
        balloon,
    } verb = Verb::stop;
    std::optional<Text> balloon; ///< MiB, as text
};
/// `volume`: a file in a stopped machine's image, read by the host. Gives its content.
struct VolumeStep {
    Text volume;
    Text path;
};

/// `stats`: a number that the host knows of the machine.
struct StatsStep {
    enum class What {
        resident, ///< MiB of the host's memory that its VMM has, shared pages included
        balloon,  ///< MiB that its balloon holds
    } what = What::resident;
};
/// `apply`: the machines become what the text now says of them, as `microvmc apply` does it. Gives what became of each:
/// "a in-place".
struct ApplyStep {
    std::shared_ptr<const Config> config; ///< the whole; one for all copies of a case
};

/// What a step's answer must be; all that are given hold. Numbers are text, since they may be references.
struct Expect {
    std::optional<Text> status;  ///< not given: 0, of kinds that have one (http: 200)
    std::optional<Text> equals;  ///< the whole answer, less one newline at its end
    std::optional<Text> matches; ///< ECMAScript regular expression, found anywhere; ^ and $ match at lines
    std::optional<Text> min;     ///< the answer is a number, this at least
    std::optional<Text> max;
    std::optional<Text> sha256; ///< of the answer's bytes, hexadecimal
};

struct Step {
    Span span;
    std::variant<GuestStep, HostStep, HttpStep, TcpStep, UdpStep, PingStep, ConsoleStep, VmStep, VolumeStep, StatsStep,
                 ApplyStep>
        what;
    std::string on; ///< the machine; the only one, when the text doesn't say; empty: none is meant (host, http, tcp)
    /// `guest` and `host`: environment beside the axes and the captures made so far, which are variables, too.
    std::vector<std::pair<std::string, Text>> env;
    Expect expect;
    std::vector<std::pair<Text, Text>> capture; ///< name, regular expression: its first group, else all that matched
    std::optional<std::int64_t> within_ms;      ///< tried again until it holds
    std::int64_t timeout_ms = 0;                ///< of one attempt
};

/// Targets that a case isn't for: an `exclude` entry that names more than axes. All that is said must hold.
struct Exclusion {
    std::optional<std::string> hypervisor;
    std::optional<std::string> accel;
    std::optional<bool> interpreted; ///< Target::interpreted
    friend bool operator==(const Exclusion&, const Exclusion&) = default;
};

/// One point of a spec's matrix.
struct Case {
    std::string spec; ///< the file's name without .toml: "volumes"
    std::string name; ///< "fs=ext4,format=raw"; empty without a matrix
    std::vector<std::pair<std::string, std::string>> axes;
    std::vector<std::string> proves; ///< capabilities, of known_capabilities()
    Config config;                   ///< its machines; which hypervisor runs them is the runner's to say
    std::vector<Step> steps;
    std::int64_t timeout_ms = 0; ///< of the whole case
    bool isolated = false;       ///< shares its boot with no other case
    bool apart = false; ///< has a directory of its own, ${scratch}: shares nothing, and is planned when it begins
    std::vector<HostStep> prepare; ///< before its machines are planned
    std::vector<HostStep> cleanup; ///< when its machines are gone, whatever came of it
    std::vector<Exclusion> not_on;

    /// "volumes[fs=ext4,format=raw]", what --filter goes by and reports show.
    [[nodiscard]] std::string id() const { return name.empty() ? spec : spec + '[' + name + ']'; }
};

/// All that was read. Spans of `cases` are into `sources`.
struct Specs {
    Sources sources;
    std::vector<Case> cases; ///< in the order of the files, then of the matrix, the last axis running fastest
};

} // namespace microvmc::testkit
