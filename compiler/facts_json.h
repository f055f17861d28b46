#pragma once

#include "compiler/facts.h"

#include <nlohmann/json_fwd.hpp>

namespace microvmc {

// Parts of the facts that the plan's JSON has, too. Reading throws nlohmann::json::exception.
class JsonText;
void json_text(JsonText& out, const KernelImage& image);
void json_text(JsonText& out, const FileIdentity& identity);
void to_json(nlohmann::json& json, const KernelImage& image);
void from_json(const nlohmann::json& json, KernelImage& image);
void to_json(nlohmann::json& json, const FileIdentity& identity);
void from_json(const nlohmann::json& json, FileIdentity& identity);

} // namespace microvmc
