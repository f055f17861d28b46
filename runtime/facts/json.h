#pragma once

#include "compiler/facts.h"

#include <nlohmann/json.hpp>

// Facts as they are kept in the cache and beside a pinned kernel. Reading throws nlohmann::json::exception.

namespace microvmc {

nlohmann::json identity_json(const FileIdentity& identity);
FileIdentity identity_from(const nlohmann::json& json);
nlohmann::json tool_json(const ToolFacts& tool);
ToolFacts tool_from(const nlohmann::json& json);
nlohmann::json kernel_json(const KernelFacts& kernel);
KernelFacts kernel_from(const nlohmann::json& json);

} // namespace microvmc
