#include "runtime/commands/inputs.h"
#include "runtime/commands/machines.h"
#include "runtime/commands/moments.h"
#include "runtime/commands/session.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/launch.h"
#include "runtime/machine.h"
#include "runtime/observe.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <map>
#include <memory>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc {

namespace {

struct EventFlags {
    std::string since;
    bool no_follow = false;
};

// One machine's log, and how far it was read.
class EventSource {
public:
    EventSource(std::string vm, const std::string& state_dir, std::string runtime_dir)
        : vm_(std::move(vm)), path_(state_dir + "/events.log"), runtime_dir_(std::move(runtime_dir)) {}

    void skip_what_is_there() {
        if (open()) { ::lseek(file_.get(), 0, SEEK_END); }
        runs_ = is_locked(runtime_dir_);
    }

    // The events that are new.
    std::vector<nlohmann::json> read() {
        std::vector<nlohmann::json> events;
        // Before the log is read: a machine whose lock is free has said all that it will.
        const bool locked = is_locked(runtime_dir_);
        if (open()) { read_lines(events); }
        struct stat now {};
        struct stat open_one {};
        if (file_ && ::stat(path_.c_str(), &now) == 0 && ::fstat(file_.get(), &open_one) == 0 &&
            now.st_ino != open_one.st_ino) { // it was full, and a new one was begun
            file_.reset();
            text_.clear();
            if (open()) { read_lines(events); }
        }
        for (const nlohmann::json& event : events) { runs_ = event.value("event", "") != "ended"; }
        if (runs_ && !locked) {
            runs_ = false;
            const End end{End::Kind::killed, 0, "its supervisor died, and its processes with it"};
            events.push_back({{"time", now_utc()}, {"vm", vm_}, {"event", "ended"}, {"end", end}});
        }
        return events;
    }

private:
    bool open() {
        if (!file_) { file_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)); }
        return static_cast<bool>(file_);
    }

    void read_lines(std::vector<nlohmann::json>& events) {
        std::array<char, 65536> buffer{};
        ssize_t count = 0;
        while ((count = ::read(file_.get(), buffer.data(), buffer.size())) > 0) {
            text_.append(buffer.data(), static_cast<std::size_t>(count));
        }
        std::size_t begin = 0;
        for (std::size_t end = 0; (end = text_.find('\n', begin)) != std::string::npos; begin = end + 1) {
            nlohmann::json event =
                nlohmann::json::parse(text_.begin() + static_cast<std::ptrdiff_t>(begin),
                                      text_.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
            if (event.is_object()) { events.push_back(std::move(event)); }
        }
        text_.erase(0, begin);
    }

    std::string vm_;
    std::string path_;
    std::string runtime_dir_;
    Fd file_;
    std::string text_; // the beginning of a line
    bool runs_ = false;
};

std::string event_text(const nlohmann::json& event) {
    std::string text =
        fmt::format("{}  {}  {}", event.value("time", ""), event.value("vm", ""), event.value("event", ""));
    if (event.contains("end")) { text += "  " + describe(event["end"].get<End>()); }
    if (event.contains("detail")) { text += "  " + event["detail"].get<std::string>(); }
    if (event.contains("after_ms")) {
        text += fmt::format("; started again in {}", format_duration(event["after_ms"].get<std::int64_t>()));
    }
    return printable(text);
}

// The events of a project, of machines that come meanwhile as well.
class EventStream {
public:
    EventStream(Session& session, std::string project)
        : session_(session), project_(std::move(project)), where_(directories()),
          notify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {}

    void only(std::vector<std::string> vms) { wanted_ = std::move(vms); }

    void find_machines(bool skip) {
        const std::string state = project_state_dir(where_.state, project_);
        ::inotify_add_watch(notify_.get(), state.c_str(), IN_CREATE | IN_MOVED_TO);
        for (const std::string& vm : observed_names(where_.state, where_.runtime, project_)) {
            const bool unwanted = !wanted_.empty() && std::ranges::find(wanted_, vm) == wanted_.end();
            if (unwanted || sources_.contains(vm)) { continue; }
            const std::string directory = state + "/" + vm;
            ::inotify_add_watch(notify_.get(), directory.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO);
            auto source =
                std::make_unique<EventSource>(vm, directory, project_runtime_dir(where_.runtime, project_) + "/" + vm);
            if (skip) { source->skip_what_is_there(); }
            sources_.emplace(vm, std::move(source));
        }
    }

    void show(const std::string& since) {
        std::vector<nlohmann::json> events;
        for (const auto& [vm, source] : sources_) {
            for (nlohmann::json& event : source->read()) {
                if (event.value("time", "") >= since) { events.push_back(std::move(event)); }
            }
        }
        std::ranges::stable_sort(events, {}, [](const nlohmann::json& event) { return event.value("time", ""); });
        for (nlohmann::json& event : events) {
            if (session_.json) {
                event["project"] = project_;
                print(event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
            } else {
                print(event_text(event) + "\n");
            }
        }
    }

    // At most a second: that a supervisor was killed no file tells.
    void await() {
        pollfd wait{notify_.get(), POLLIN, 0};
        ::poll(&wait, 1, 1000);
        std::array<char, 4096> changes{};
        while (::read(notify_.get(), changes.data(), changes.size()) > 0) {}
    }

private:
    Session& session_;
    std::string project_;
    std::vector<std::string> wanted_;
    Directories where_;
    Fd notify_;
    std::map<std::string, std::unique_ptr<EventSource>> sources_;
};

} // namespace

void add_events(CLI::App& app, Session& session) {
    auto flags = std::make_shared<EventFlags>();
    CLI::App* command = add_command(app, session, "events",
                                    "Show what happens to a project's machines as it happens, until interrupted");
    command->footer("Events: starting, running, ready, stopping, rebooted, lost (a process that the machine needs), "
                    "restarting, ended.");
    command->add_option("vm", session.targets, "A microvm.toml, or names of machines (default: all, new ones too)");
    command->add_flag("--json", session.json, "Print a line of JSON for each");
    command->add_option("--since", flags->since, "Those since then, too: 10m, 1h30m, 2026-11-25T21:00:00Z")
        ->type_name("TIME");
    command->add_flag("--no-follow", flags->no_follow, "Only those that were; with --since, else all that are kept");
    command->callback([&session, flags] {
        const std::string since = flags->since.empty() ? "" : moment_of(flags->since);
        EventStream stream(session, project_name(session));
        stream.only(classify(session).vms);
        const bool skip = flags->since.empty() && !flags->no_follow;
        stream.find_machines(skip);
        stream.show(since);
        while (!flags->no_follow) {
            stream.await();
            stream.find_machines(false);
            stream.show("");
        }
    });
}

} // namespace microvmc
