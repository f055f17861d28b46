#pragma once

#include "runtime/guest/channel.h"

#include <string>
#include <vector>

namespace microvmc::guest {

/// Where the machine's secrets are, a file each: where systemd looks for what its system was given (systemd.exec(5),
/// "Credentials"), and what $CREDENTIALS_DIRECTORY of a command names.
inline constexpr const char* credentials_directory = "/run/credentials/@system";

/// Asks the host for these credentials and waits until all have come: files that only root reads, in memory that isn't
/// swapped, read-only from then on.
Failure receive_credentials(const std::vector<std::string>& names, Channel& channel);

/// Puts together what comes in pieces.
class CredentialPieces {
public:
    explicit CredentialPieces(std::string name) : name_(std::move(name)) {}
    /// Takes a frame of the host's; others are of no interest.
    void take(const wire::Frame& frame);
    [[nodiscard]] bool whole() const { return whole_; }
    [[nodiscard]] bool refused() const { return refused_; } ///< the host has none of this name
    [[nodiscard]] const std::string& value() const { return value_; }

private:
    std::string name_;
    std::string value_;
    bool whole_ = false;
    bool refused_ = false;
};

} // namespace microvmc::guest
