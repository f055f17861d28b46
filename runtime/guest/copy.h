#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Files and directories over a byte stream, both ways: `microvmc cp`. The host and the agent run the same code, so that
// a guest needs no program of its own for it. Free of exceptions and of the init's other parts: both compile it.
//
// The stream: "mvcopy1\n", then entries, each before what is in it; fields end with a NUL, numbers are decimal, PATH is
// relative to what is copied, which itself is the empty one:
//
//   d PATH MODE MTIME            a directory
//   f PATH MODE MTIME, pieces    a file; a piece is its length and so many bytes, the length 0 ends them
//   l PATH TARGET                a symbolic link
//   w TEXT                       something was left out, for people
//   x TEXT                       the sender gives up, and why
//   e                            the end

namespace microvmc::copy {

/// Nothing: it went well; else what went wrong, for people.
using Failure = std::optional<std::string>;

/// Writes what lies at `path` to the stream: a file, or a directory with all that is in it. Symbolic links stay what
/// they are, but for `path` itself; sockets, devices and pipes are left out, which is said in the stream.
Failure send(int stream, const std::string& path);

/// Makes of the stream what `target` says, as cp(1) does: in it, under `name`, when it is a directory, else as it. A
/// file appears whole, with its contents on disk when it is the only one; a directory appears whole when it is new,
/// and its files one by one when there is one already. Whatever fails leaves nothing of it under its name. Modes
/// (without setuid, setgid and sticky bits) and times are kept, owners are the receiver's. Never writes outside of what
/// it makes, whatever the stream says, and follows no link in it. `warnings`: the sender's.
Failure receive(int stream, const std::string& target, const std::string& name, std::vector<std::string>& warnings);

/// argv[0] of what the agent runs by itself: "microvmc:send PATH", "microvmc:receive TARGET NAME", on its standard
/// streams.
inline constexpr std::string_view send_command = "microvmc:send";
inline constexpr std::string_view receive_command = "microvmc:receive";

/// Runs one of these: its exit status, messages on standard error. Nothing when it is another command.
std::optional<int> run(const std::vector<std::string>& argv);

} // namespace microvmc::copy
