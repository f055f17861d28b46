#pragma once

#include <nlohmann/json.hpp>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace microvmc::test {

/// Stands in for a VMM's HTTP server on a Unix socket: says what it was told to say, and keeps what it was asked.
class RecordedApi {
public:
    /// `answers`: bodies by "METHOD TARGET"; what isn't there is answered by 204.
    explicit RecordedApi(std::map<std::string, nlohmann::json> answers);
    ~RecordedApi();
    RecordedApi(const RecordedApi&) = delete;
    RecordedApi& operator=(const RecordedApi&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }
    /// Each as {"method", "target", "body"}, since the last call; what has no body comes once, however often it was
    /// asked.
    std::vector<nlohmann::json> take();

private:
    void serve();
    std::string answer(const std::string& request);

    std::string directory_;
    std::string path_;
    std::map<std::string, nlohmann::json> answers_;
    int listener_ = -1;
    std::atomic<bool> over_ = false;
    std::vector<nlohmann::json> asked_; ///< read when nothing is under way
    std::thread thread_;
};

/// Compares requests with tests/golden/requests/NAME.json, which tests/schema/requests.py checks against the
/// hypervisor's own description of its API.
void expect_requests(const std::string& name, const std::vector<nlohmann::json>& requests);

} // namespace microvmc::test
