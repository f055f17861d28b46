#pragma once

#include "compiler/plan.h"
#include "runtime/supervisor/credentials.h"

#include <cstddef>
#include <vector>

namespace microvmc {

inline constexpr std::size_t max_credential = std::size_t{1}
                                              << 20U; ///< bytes, as systemd's (CREDENTIALS_TOTAL_SIZE_MAX)

/// The secrets themselves: a file's bytes, the value of a variable of our environment, or what a program prints, less
/// one newline at its end. Throws Error that names the credential and never shows what was read.
std::vector<supervisor::Credential> read_credentials(const std::vector<CredentialPlan>& credentials);

} // namespace microvmc
