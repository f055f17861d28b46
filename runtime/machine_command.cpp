#include "runtime/machine_command.h"

#include "runtime/error.h"
#include "runtime/machine_connection.h"

#include <algorithm>
#include <utility>

namespace microvmc::machine {

namespace {

constexpr std::size_t queue = std::size_t{64} * 1024;
constexpr std::uint32_t stream = 1;

Fd connect(const std::string& runtime_dir) {
    Fd connection = find_supervisor(runtime_dir);
    if (!connection) { throw Error("the machine doesn't run"); }
    return connection;
}

} // namespace

GuestCommand::GuestCommand(const std::string& runtime_dir, const ExecRequest& request, const nlohmann::json& tty,
                           Take output, Take error)
    : connection_(connect(runtime_dir)), output_(std::move(output)), error_(std::move(error)),
      to_guest_(connection_.get(), true) {
    const Answer answer = request_now(
        connection_,
        {{"op", "exec"}, {"argv", request.argv}, {"env", request.env}, {"workdir", request.workdir}, {"tty", tty}});
    take(answer.rest);
}

bool GuestCommand::takes_input() const {
    return open_ && to_guest_.pending() < queue && unconfirmed_ + piece_size <= wire::input_window;
}

void GuestCommand::send_input(std::string_view bytes) {
    send(wire::Type::input, bytes);
    unconfirmed_ += bytes.size();
}

void GuestCommand::send(wire::Type type, std::string_view payload) {
    to_guest_.add(wire::encode(type, stream, payload));
}

void GuestCommand::receive() {
    const ssize_t count = read_some(connection_.get(), buffer_.data(), buffer_.size());
    if (count > 0) { take({buffer_.data(), static_cast<std::size_t>(count)}); }
    if (count == 0) { open_ = false; }
}

void GuestCommand::take(std::string_view bytes) {
    decoder_.feed(bytes);
    while (const auto frame = decoder_.next()) { take(*frame); }
}

void GuestCommand::take(const wire::Frame& frame) {
    if (frame.type == wire::Type::output) {
        output_(frame.payload);
    } else if (frame.type == wire::Type::error) {
        error_(frame.payload);
    } else if (frame.type == wire::Type::taken) {
        const auto fields = wire::split_fields(frame.payload);
        const auto count = fields.empty() ? std::nullopt : wire::parse_number<std::size_t>(fields[0]);
        unconfirmed_ -= std::min(unconfirmed_, count.value_or(0));
    } else if (frame.type == wire::Type::exit) {
        const auto fields = wire::split_fields(frame.payload);
        const auto status = fields.empty() ? std::nullopt : wire::parse_number<int>(fields[0]);
        status_ = status.value_or(255) & 0xff;
        open_ = false;
    }
}

} // namespace microvmc::machine
