#pragma once

#include "runtime/backend.h"

#include <chrono>
#include <memory>
#include <string>

namespace microvmc {

// A part of firecracker.cpp: what is asked of a running firecracker, over its API.

/// Pure: what it is told once it listens, because its configuration can't say it.
std::vector<ChatStep> firecracker_start_chat(const VmPlan& vm);

/// The id of a machine's disk, by its number in disks_of.
std::string firecracker_drive(std::size_t disk);

/// The Unix socket of its vsock, beside its control socket.
std::string firecracker_vsock(const std::string& runtime_dir);

std::unique_ptr<Control> attach_firecracker(const std::string& control, std::chrono::milliseconds timeout);

} // namespace microvmc
