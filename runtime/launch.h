#pragma once

#include "runtime/network/tap.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What a supervisor is told: machine.json in the machine's runtime directory. Written by start_supervisor, read by the
// supervisor, which knows no hypervisor: everything it needs is here.

namespace microvmc {

/// One step of what is said to a child at its start: when a line that has `expect` in it has come, `send` goes out. The
/// first ones may have no `expect`: they go out at once.
struct ChatStep {
    std::string expect;
    std::string send;

    friend bool operator==(const ChatStep&, const ChatStep&) = default;
};

/// A file that a child reads when it starts.
struct ChildFile {
    std::string path; ///< in the machine's runtime directory; with a slash at its end: a directory, empty
    std::string content;

    friend bool operator==(const ChildFile&, const ChildFile&) = default;
};

/// Something that the supervisor opens for a child, which finds it under a number of its own: it may be what the child
/// could not open itself.
struct Descriptor {
    enum class Kind {
        read,    ///< the file, to be read
        write,   ///< the file, to be read and written
        listen,  ///< a Unix socket that is made and listened on; gone once the child doesn't have it any more
        connect, ///< a connection to a Unix socket
        macvtap, ///< the device of the macvtap with this name
    } kind = Kind::read;
    int number = 0; ///< from first_descriptor on, without gaps
    std::string path;

    friend bool operator==(const Descriptor&, const Descriptor&) = default;
};
/// No supervisor has as many open when it starts children.
inline constexpr int first_descriptor = 200;

/// A process that the supervisor starts and whose death it notices.
struct Child {
    std::string role;              ///< "vmm", "virtiofsd"
    std::vector<std::string> argv; ///< argv[0] is an absolute path
    bool console = false;          ///< its stdin and stdout are the machine's pty; else /dev/null and the log
    /// A Unix socket that must be listening before the next child starts (for the last one: before the machine counts
    /// as started); empty: none. It is looked at, not connected to: some servers take one connection only.
    std::string await_socket;
    std::vector<ChatStep> chat{};          ///< on `await_socket`, at each start, before the next child's
    std::vector<std::string> first_argv{}; ///< instead of `argv`, at the machine's first start only; empty: that
    std::vector<ChildFile> files{};        ///< written before each of its starts, for us alone; gone with the machine
    /// A Unix socket that the supervisor makes and listens on before the child starts; the child is given it, and its
    /// last argument, "--fd=", the descriptor's number. Who connects waits until the child takes it; when the child
    /// dies, it is refused. Empty: none.
    std::string listen{};
    /// Directories that it sees read-only, with all that is mounted in them, whatever it tries: in a mount namespace of
    /// its own, for which the supervisor has to be root.
    std::vector<std::string> read_only{};
    std::vector<Descriptor> descriptors{};
    /// The host's user who runs it, with his groups and that of /dev/kvm; empty: ours.
    std::string user{};
    /// Raw disk images, for one that takes an image for what its first bytes say: it isn't started while these are
    /// those of another format, which the guest may have put there.
    std::vector<std::string> raw_images{};
    /// What follows when it ends while the machine is up. A VMM's end is the machine's, whatever this says.
    enum class OnDeath {
        nothing,
        restart, ///< the machine is started again: its VMM can't go on without it
        stop,    ///< the machine is stopped
    } on_death = OnDeath::nothing;

    friend bool operator==(const Child&, const Child&) = default;
};

/// Where the guest's agent answers. The supervisor connects, again and again until somebody answers.
struct AgentChannel {
    enum class Kind {
        none,
        unix_stream,  ///< a Unix socket on which the VMM listens
        hybrid_vsock, ///< likewise, which leads to a vsock port of the guest's once it was asked for: "CONNECT PORT\n",
                      ///< answered by "OK PORT\n" (firecracker: docs/vsock.md)
        terminal,     ///< the one pty that the VMM made for itself, whose name nobody knows before
        served,       ///< a Unix socket on which the supervisor listens; the VMM connects when it starts, once
    } kind = Kind::none;
    std::string socket;     ///< its path; terminal: none
    std::uint32_t port = 0; ///< hybrid_vsock
    std::string doubled{};  ///< bytes that the VMM takes for its own on the way to the guest, unless they come twice

    friend bool operator==(const AgentChannel&, const AgentChannel&) = default;
};

/// When the supervisor starts its machine again after an end that nobody asked for.
struct Restart {
    std::string policy = "no";       ///< no, on-failure, always; an end that is what ready meant is never one
    std::int64_t delay_ms = 1'000;   ///< before the first time; doubles each time, up to a minute
    std::uint32_t limit = 5;         ///< so often in a row
    std::int64_t stable_ms = 60'000; ///< ready for so long, it counts from the beginning again

    friend bool operator==(const Restart&, const Restart&) = default;
};

/// What the children may use of the host, all together; 0: no limit.
struct Limits {
    double cpu = 0; ///< processors
    std::uint64_t mem_mib = 0;
    std::uint64_t pids = 0;
    std::uint64_t io_read_mib = 0; ///< a second, of each disk that has one of `io_paths`
    std::uint64_t io_write_mib = 0;
    std::vector<std::string> io_paths{};

    friend bool operator==(const Limits&, const Limits&) = default;
};

/// What a supervisor does later than at the start, as an in-place change has it.
struct Amendment {
    std::vector<Child> children;                     ///< from the guest's next reboot on; the same in number and role
    std::vector<std::vector<std::string>> post_stop; ///< Launch::post_stop

    friend bool operator==(const Amendment&, const Amendment&) = default;
};

struct Launch {
    int version = 1;
    std::string project;
    std::string vm;
    std::vector<Child> children; ///< in start order, the VMM last; ended in reverse
    AgentChannel agent;
    std::string ready_kind; ///< ReadyPlan's kind by name
    std::string ready_text; ///< console
    int ready_status = 0;   ///< exit
    Restart restart;
    std::int64_t startup_timeout_ms = 150'000;
    std::int64_t shutdown_timeout_ms = 60'000;
    std::vector<Tap> taps; ///< that go with the machine
    /// argvs run on the host when the machine has ended, before `post_stop`: they take away what limits its taps.
    std::vector<std::vector<std::string>> release{};
    /// A disk image that is the machine's alone, or that others read as well, for as long as it runs (image_lock.h).
    struct Image {
        std::string path;
        bool read_only = false;

        friend bool operator==(const Image&, const Image&) = default;
    };
    std::vector<Image> images;
    std::string runtime_dir; ///< see supervisor/protocol.h for the files in it
    /// Bytes that the VMM's serial port has room for, when it doesn't interrupt its guest again for those that it had
    /// none for: what is typed goes there in pieces of as many. 0: all of it at once.
    std::uint32_t console_piece = 0;
    std::string console_log; ///< <state>/console.log; a full one (16 MiB) is moved to console.log.1
    std::string vmm_log;     ///< <state>/vmm.log: stderr of the children, and the supervisor's own lines; likewise
    std::string event_log;   ///< <state>/events.log: what happened when (supervisor/events.h); empty: none
    std::string end_file;    ///< <state>/end.json: how it ended, written whole
    /// argvs run one after the other on the host, a program without a slash looked up on PATH: before the first start,
    /// and when the machine has ended, however it did (also when it could not be started). What they say is in vmm_log.
    std::vector<std::vector<std::string>> pre_start{};
    std::vector<std::vector<std::string>> post_stop{};
    Limits limits{};
    nlohmann::json plan; ///< the VmPlan, not interpreted by the supervisor; `status` gives it back
    /// The first start goes on from a saved state, which somebody else has the VMM load: its guest must be told before
    /// the machine counts as up.
    bool restored = false;
    bool was_ready = false;             ///< restored: it was ready when it was saved
    std::vector<Child> next_children{}; ///< from the next reboot on; none: the same

    friend bool operator==(const Launch&, const Launch&) = default;
};

void to_json(nlohmann::json& json, const Amendment& amendment);
/// Throws nlohmann::json::exception.
void from_json(const nlohmann::json& json, Amendment& amendment);
void to_json(nlohmann::json& json, const Launch& launch);
/// Throws nlohmann::json::exception that names what is missing or of the wrong type. Unknown keys are ignored.
void from_json(const nlohmann::json& json, Launch& launch);

/// How a machine ended.
struct End {
    enum class Kind {
        exited,
        poweroff,
        reboot,
        panic,
        vmm_crash,
        killed,
        timed_out,
        start_failed,
        helper_crash, ///< a process that the VMM needs ended before it: the server of a share
    } kind = Kind::exited;
    int status = 0;     ///< exited: the main process's; vmm_crash: the VMM's wait status as a shell shows it
    std::string detail; ///< "kvm: ...", the last line that says why

    friend bool operator==(const End&, const End&) = default;
};
void to_json(nlohmann::json& json, const End& end);
/// Throws nlohmann::json::exception.
void from_json(const nlohmann::json& json, End& end);
/// In words, for people: "powered off", "exited with status 3", "panicked: VFS: ...".
std::string describe(const End& end);
/// Whether no guest and no user meant it to happen: what `restart = "on-failure"` goes by.
bool is_failure(const End& end);

/// How far a machine is that has a supervisor. Stopping wins over the others.
enum class MachineState {
    starting,   ///< the children are being started
    running,    ///< the VMM runs
    ready,      ///< the plan's ready condition holds
    stopping,   ///< asked to end, or ending
    restarting, ///< it ended, and is started again after a while
};
std::string_view to_string(MachineState state);
std::optional<MachineState> machine_state(std::string_view name);

/// Writes `content` beside `path`, then renames it: a reader sees all of it or what was there before. `durable`: it is
/// on disk when this returns. Mode 0600. Throws Error.
void write_private_file(const std::string& path, std::string_view content, bool durable);

/// The launch description in `<runtime_dir>/machine.json`. Throws Error that names the file and what is wrong with it.
Launch read_launch(const std::string& runtime_dir);

/// An end as it lies in a file (end.json).
struct RecordedEnd {
    End end;
    bool ready = false; ///< it was what ready meant (`ready.exit`)
};
/// Written whole and durably. Throws Error.
void write_end(const std::string& path, const RecordedEnd& end);
/// Nothing when there is no such file or it is not one.
std::optional<RecordedEnd> read_recorded_end(const std::string& path);

} // namespace microvmc
