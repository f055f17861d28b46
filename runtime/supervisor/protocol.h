#pragma once

#include <cstddef>
#include <string>

// The supervisor's control socket: <runtime_dir>/control.sock, a Unix stream socket (mode 0600). A request is one line
// of JSON, the answer one line; each connection has one request. Errors are {"error": "..."}.
//
//   {"op":"status"}              -> {"vm":..,"state":"starting|running|ready|stopping|restarting",
//                                    "pid":<VMM, 0: none>,"supervisor":<pid>,"started":<unix seconds>,"agent":<bool>,
//                                    "reboots":N (by the guest),"restarts":N (by the supervisor),
//                                    "program":<program_identity>,"plan":{...}}, and "waiting_for":"in words" unless it
//                                    is ready, "last_end":{...} when it was restarted
//   {"op":"await","for":"vmm|agent|ready|end","timeout_ms":N}
//                                -> {"state":"..."} as soon as it holds; {"end":{...}} when the machine ended instead
//                                   (both when an end was what ready meant); {"timeout":true,"waiting_for":"in words"}
//   {"op":"stop","timeout_ms":N,"kind":"poweroff|kill"}
//                                -> {"outcome":"graceful|killed","detail":"powered off in 1.2s","end":{...}}, when all
//                                   children are dead and the sockets are gone. Asks the agent first, kills after N ms;
//                                   when nothing could be asked (no agent yet), says so and kills at once unless the
//                                   client sent "asked":true (it pressed the power button through the VMM's own
//                                   protocol). Of several stops the earliest deadline counts.
//   {"op":"console","history":<bool>} -> {"ok":true}, then raw bytes both ways; several clients at once. A client that
//                                   is too slow misses output beyond the history, and is told so in the stream; the log
//                                   has it all.
//   {"op":"exec","argv":[..],"env":{..},"workdir":"..","tty":{"rows":R,"columns":C}|null}
//                                -> {"ok":true}, then wire.h frames both ways (output, error, exit, taken / input,
//                                   signal, resize) with stream 1
//   {"op":"renew"}               -> {"ok":true} when the guest, which stood still, has set its clock and reseeded its
//   random
//                                   numbers (wire.h); an error when it can't
//   {"op":"amend","amendment":{..}}
//                                -> {"ok":true}: from now on it goes by this (Amendment)
//   {"op":"reexec","program":<absolute path>}
//                                -> {"supervisor":<the same pid>,"program":<program_identity>} from that program, which
//                                   has taken over the machine; {"later":"why"} while the machine starts or ends or any
//                                   other client is connected; an error when the program can't take over: then the one
//                                   that runs goes on
//
// Files in runtime_dir: `lock` (flock held by the supervisor and inherited by its children, so that it is free only
// when all are dead), `machine.json` (Launch), `control.sock`, the VMM's sockets, `cgroup` (the path of the children's
// cgroup). When a machine has ended, `lock` and `end.json` (RecordedEnd, the same as Launch::end_file) are left.
//
// The program: microvmc-supervisor RUNTIME_DIR [--notify-fd N] [--lock-fd N]; RUNTIME_DIR --resume N [--trial] only by
// a supervisor that hands over to it (reexec.h). N of --lock-fd has the lock already (who starts a supervisor writes
// machine.json under it). One line is written to --notify-fd, {"supervisor":PID,"vmm":PID} when the children are
// started or {"error":"..."}. Exit status: 0 the machine ended and that was recorded; 1 it could not be started; 3 the
// lock is held; 64 bad arguments.

namespace microvmc::supervisor {

inline constexpr const char* lock_name = "lock";
inline constexpr const char* control_name = "control.sock";
inline constexpr const char* launch_name = "machine.json";
inline constexpr const char* end_name = "end.json";
inline constexpr const char* cgroup_name = "cgroup";

/// Beside a log without times of its own: lines of an offset in the log and when what stands there was written, in
/// milliseconds since the epoch, ascending.
inline std::string stamps_path(const std::string& log) {
    return log + ".times";
}

inline constexpr int exit_failed = 1;
inline constexpr int exit_locked = 3;
inline constexpr int exit_usage = 64;

inline constexpr int post_stop_ms = 60'000; ///< that all of Launch::post_stop have
inline constexpr std::size_t max_request = std::size_t{128} << 10U;    ///< bytes of a request's line
inline constexpr std::size_t max_answer = std::size_t{16} << 20U;      ///< bytes of an answer's line
inline constexpr std::size_t max_launch = std::size_t{16} << 20U;      ///< bytes of machine.json
inline constexpr std::size_t console_history = std::size_t{64} << 10U; ///< bytes that `console` repeats

} // namespace microvmc::supervisor
