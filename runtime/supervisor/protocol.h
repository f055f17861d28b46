#pragma once

// The supervisor's control socket: <runtime_dir>/control.sock, a Unix stream socket (mode 0600). A request is one line
// of JSON, the answer one line or more; each connection has one request. Errors are {"error": "..."}.
//
//   {"op":"status"}              -> {"vm":..,"state":"starting|running|ready|stopping","pid":<VMM>,"supervisor":<pid>,
//                                    "started":<unix seconds>,"agent":<bool>,"plan":{...}}
//   {"op":"await","for":"vmm|agent|ready","timeout_ms":N}
//                                -> {"state":"..."} as soon as it holds; {"end":{...}} when the machine ended instead;
//                                   {"timeout":true,"waiting_for":"what, in words"}
//   {"op":"stop","timeout_ms":N,"kind":"poweroff|kill"}
//                                -> {"outcome":"graceful|killed","detail":"powered off in 1.2s","end":{...}}; asks the
//                                agent first, kills after
//                                   N ms; when nothing could be asked (no agent yet), says so and kills at once unless
//                                   the client sent {"asked":true} (it pressed the power button through the VMM's own
//                                   protocol)
//   {"op":"console","history":<bool>} -> {"ok":true}, then raw bytes both ways; several clients at once
//   {"op":"exec","argv":[..],"env":{..},"workdir":"..","tty":{"rows":R,"columns":C}|null}
//                                -> {"ok":true}, then wire.h frames both ways (output, error, exit / input, signal,
//                                resize) with stream 1
//
// Files in runtime_dir: `lock` (flock held by the supervisor and inherited by its children, so that it is free only
// when all are dead), `machine.json` (Launch), `control.sock`, the VMM's sockets.

namespace microvmc::supervisor {

inline constexpr const char* lock_name = "lock";
inline constexpr const char* control_name = "control.sock";
inline constexpr const char* launch_name = "machine.json";

} // namespace microvmc::supervisor
