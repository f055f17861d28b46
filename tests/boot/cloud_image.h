#pragma once

#include <string>

namespace microvmc::boot {

/// A disk image (qcow2) as clouds boot it: a GPT with an EFI system partition, whose loader (systemd-boot) starts a
/// Debian's own kernel, and an ext4 root with cloud-init. Made when it is first asked for, and kept in the build
/// directory; nobody may write it. Empty when it can't be made: `why_not` says why.
std::string cloud_image(std::string& why_not);

/// What boots it: OVMF, Debian's package ovmf.
std::string uefi_firmware();

} // namespace microvmc::boot
