#pragma once

#include "compiler/diagnostic.h"
#include "compiler/observed.h"
#include "compiler/plan.h"

#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace microvmc {

enum class ChangeKind {
    none,
    create,   ///< not known before
    start,    ///< known and unchanged, yet not running
    in_place, ///< running, and stays so
    restart,  ///< running; at least one key is fixed at start
    stop,     ///< enabled = false
    update,   ///< stopped and stays so: only the record changes
    destroy,  ///< no longer in the file
};

/// One key that differs. `before` and `after` are as people read them ("1GiB", "127.0.0.1:8080 -> 80/tcp"); empty:
/// absent.
struct KeyChange {
    std::string key; ///< "mem", "volumes.data.size"
    std::string before;
    std::string after;
    bool needs_restart = false;
    std::string reason; ///< why a restart is needed, or how it is done in place
    Origin origin;

    friend bool operator==(const KeyChange&, const KeyChange&) = default;
};

struct VmChange {
    std::string vm;
    ChangeKind kind = ChangeKind::none;
    std::vector<KeyChange> keys; ///< none when it is new: the plan says all of it
    std::string summary; ///< "create", "restart: vcpu is fixed at start", "no longer in microvm.toml; has no volumes"
};

/// One entry for each VM of the plan, in its order, then those that are destroyed.
struct Changes {
    std::vector<VmChange> vms;
    [[nodiscard]] bool empty() const; ///< nothing to do; what `--detailed-exitcode` goes by
};

/// Pure. Reports what can't be done to what exists (a volume that would shrink); `sources` are those of the plan.
/// `gone`: why those that the plan doesn't have are destroyed, for people.
Changes diff(const Plan& plan, const Observed& observed, const Sources& sources, Diagnostics& diagnostics,
             std::string_view gone = "no longer in the file");

/// Has these machines restarted, whether or not anything about them has changed; one that doesn't run is started.
void restart_anyway(Changes& changes, const Observed& observed, const std::vector<std::string>& names);

/// Gives `running`, the plan that a running machine was started by, what `recorded` says of the keys that are changed
/// in place.
void take_in_place(VmPlan& running, const VmPlan& recorded);

class JsonShapes;
nlohmann::ordered_json json_shape(JsonShapes& shapes, const VmChange* type);
void to_json(nlohmann::json& json, const Changes& changes);
/// The same as text, indented by two, with a newline at its end.
std::string to_json_text(const Changes& changes);
/// What `plan --json` prints: {"version", "plan", "changes"} as text, and "against" (what was compared with) when it
/// isn't empty. `sink` gets it piece by piece.
void write_json(const Plan& plan, const Changes& changes, const std::string& against,
                const std::function<void(std::string_view)>& sink);

} // namespace microvmc
