// Any bytes either are a plan, which then comes back the same from its JSON, or are refused by an exception of the JSON
// library.

#include "compiler/plan.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace microvmc;
    try {
        const auto plan = nlohmann::json::parse(data, data + size).get<Plan>();
        const nlohmann::json json = plan;
        if (json.get<Plan>() != plan) { std::abort(); }
        if (nlohmann::json::parse(to_json_text(plan)) != json) { std::abort(); }
    } catch (const nlohmann::json::exception&) {} // refused
    return 0;
}
