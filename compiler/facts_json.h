#pragma once

#include "compiler/facts.h"

#include <nlohmann/json_fwd.hpp>

namespace microvmc {

// Parts of the facts that stand elsewhere, too: in a plan, in the facts' cache, beside a pinned kernel. Reading throws
// nlohmann::json::exception.
class JsonText;
class JsonShapes;
void json_text(JsonText& out, const KernelImage& image);
void json_text(JsonText& out, const FileIdentity& identity);
nlohmann::ordered_json json_shape(JsonShapes& shapes, const KernelImage* type);
nlohmann::ordered_json json_shape(JsonShapes& shapes, const FileIdentity* type);
void to_json(nlohmann::json& json, const KernelImage& image);
void from_json(const nlohmann::json& json, KernelImage& image);
void to_json(nlohmann::json& json, const FileIdentity& identity);
void from_json(const nlohmann::json& json, FileIdentity& identity);
void to_json(nlohmann::json& json, const ToolFacts& tool);
void from_json(const nlohmann::json& json, ToolFacts& tool);
void to_json(nlohmann::json& json, const KernelFacts& kernel);
void from_json(const nlohmann::json& json, KernelFacts& kernel);

} // namespace microvmc
