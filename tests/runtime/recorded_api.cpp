#include "tests/runtime/recorded_api.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace microvmc::test {

RecordedApi::RecordedApi(std::map<std::string, nlohmann::json> answers) : answers_(std::move(answers)) {
    std::string name = "/tmp/mvmc-api-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    path_ = directory_ + "/api.sock";
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) { std::abort(); }
    ::listen(listener_, 8);
    thread_ = std::thread([this] { serve(); });
}

RecordedApi::~RecordedApi() {
    over_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    std::filesystem::remove_all(directory_);
}

void RecordedApi::serve() {
    for (int client = -1; !over_ && (client = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(client)) {
        std::string request;
        char bytes[4096];
        const auto whole = [&request] {
            const std::size_t head = request.find("\r\n\r\n");
            if (head == std::string::npos) { return false; }
            const std::size_t length = request.find("Content-Length: ");
            return length > head || request.size() - head - 4 >= std::stoul(request.substr(length + 16));
        };
        for (ssize_t count = 0; !whole() && (count = ::read(client, bytes, sizeof bytes)) > 0;) {
            request.append(bytes, static_cast<std::size_t>(count));
        }
        const std::string said = answer(request);
        if (::write(client, said.data(), said.size()) < 0) { continue; }
    }
}

std::string RecordedApi::answer(const std::string& request) {
    const std::size_t method = request.find(' ');
    const std::size_t target = request.find(' ', method + 1);
    const std::string what = request.substr(0, target);
    const std::string body = request.substr(request.find("\r\n\r\n") + 4);
    nlohmann::json asked{{"method", what.substr(0, method)}, {"target", what.substr(method + 1)}};
    if (!body.empty()) { asked["body"] = nlohmann::json::parse(body); }
    if (!body.empty() || std::ranges::find(asked_, asked) == asked_.end()) { asked_.push_back(std::move(asked)); }
    const auto found = answers_.find(what);
    if (found == answers_.end()) { return "HTTP/1.1 204 \r\nConnection: keep-alive\r\n\r\n"; }
    const std::string text = found->second.dump();
    return "HTTP/1.1 200 \r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
}

std::vector<nlohmann::json> RecordedApi::take() {
    return std::exchange(asked_, {});
}

void expect_requests(const std::string& name, const std::vector<nlohmann::json>& requests) {
    const std::string path = TEST_SOURCE_DIR "/tests/golden/requests/" + name + ".json";
    const std::string text = nlohmann::json(requests).dump(2) + '\n';
    if (std::getenv("MICROVMC_UPDATE_GOLDEN") != nullptr) {
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        std::ofstream(path) << text;
    }
    std::ifstream file(path);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), text) << path;
}

} // namespace microvmc::test
