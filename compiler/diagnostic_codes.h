#pragma once

#include <span>
#include <string_view>

namespace microvmc {

/// What a diagnostic's code means: `explain E0201` prints it.
struct CodeInfo {
    std::string_view code;
    std::string_view title;
    std::string_view explanation;
};

/// All of them, in ascending order.
std::span<const CodeInfo> diagnostic_codes();
/// Null when there is no such code.
const CodeInfo* find_code(std::string_view code);

/// The codes by name. A code is never given a second meaning.
namespace codes {

// Text
inline constexpr const char* too_large = "E0101";
inline constexpr const char* not_utf8 = "E0102";
inline constexpr const char* too_deep = "E0103";
inline constexpr const char* syntax = "E0104";

// Keys and values
inline constexpr const char* unknown_key = "E0201";
inline constexpr const char* wrong_type = "E0202";
inline constexpr const char* unknown_value = "E0203";
inline constexpr const char* out_of_range = "E0204";
inline constexpr const char* bad_size = "E0205";
inline constexpr const char* bad_duration = "E0206";
inline constexpr const char* bad_path = "E0207";
inline constexpr const char* bad_name = "E0208";
inline constexpr const char* bad_text = "E0209";
inline constexpr const char* one_of = "E0210";
inline constexpr const char* missing_key = "E0211";
inline constexpr const char* bad_forward = "E0212";
inline constexpr const char* bad_address = "E0213";
inline constexpr const char* bare_secret = "E0214";
inline constexpr const char* bad_version = "E0215";
inline constexpr const char* no_vms = "E0216";
inline constexpr const char* too_many = "E0217";
inline constexpr const char* conflicting_keys = "E0218";
inline constexpr const char* unnamed = "E0219";

// Merging
inline constexpr const char* unknown_template = "E0301";
inline constexpr const char* extends_cycle = "E0302";
inline constexpr const char* nothing_to_remove = "E0303";
inline constexpr const char* include_cycle = "E0304";
inline constexpr const char* include_failed = "E0305";

// Between machines, and within one
inline constexpr const char* duplicate_name = "E0401";
inline constexpr const char* duplicate_mac = "E0402";
inline constexpr const char* duplicate_host_port = "E0403";
inline constexpr const char* duplicate_image = "E0404";
inline constexpr const char* duplicate_mount_point = "E0405";
inline constexpr const char* duplicate_tag = "E0406";
inline constexpr const char* duplicate_serial = "E0407";
inline constexpr const char* duplicate_interface_id = "E0408";
inline constexpr const char* duplicate_cid = "E0409";
inline constexpr const char* forward_without_interface = "E0410";
inline constexpr const char* unknown_vm = "E0411";
inline constexpr const char* dependency_cycle = "E0412";
inline constexpr const char* socket_too_long = "E0413";
inline constexpr const char* missing_size = "E0414";
inline constexpr const char* unknown_network = "E0415";
inline constexpr const char* address_outside = "E0416";
inline constexpr const char* duplicate_address = "E0417";
inline constexpr const char* memory_order = "E0418";
inline constexpr const char* unknown_volume = "E0419";
inline constexpr const char* overlapping_networks = "E0420";

// The host and the hypervisors
inline constexpr const char* no_hypervisor = "E0501";
inline constexpr const char* unsupported = "E0502";
inline constexpr const char* no_accel = "E0503";
inline constexpr const char* no_kernel = "E0504";
inline constexpr const char* missing_path = "E0505";
inline constexpr const char* bad_kernel = "E0506";
inline constexpr const char* too_many_vcpus = "E0508";
inline constexpr const char* foreign_arch = "E0509";
inline constexpr const char* no_free_port = "E0510";
inline constexpr const char* too_many_devices = "E0511";
inline constexpr const char* no_tool = "E0512";
inline constexpr const char* bad_image = "E0513";
inline constexpr const char* needs_root = "E0514";
inline constexpr const char* host_lacks = "E0515";
inline constexpr const char* no_huge_pages = "E0516";
inline constexpr const char* kernel_lacks = "E0517";

// What exists already
inline constexpr const char* volume_shrinks = "E0601";
inline constexpr const char* volume_changes = "E0602";
inline constexpr const char* volume_stays = "E0603";
inline constexpr const char* image_in_use = "E0604";
inline constexpr const char* no_room = "E0605";

// Specs of microvm-test
inline constexpr const char* unknown_reference = "E0801";
inline constexpr const char* unknown_capability = "E0802";
inline constexpr const char* bad_pattern = "E0803";
inline constexpr const char* bad_axis = "E0804";
inline constexpr const char* unknown_axis = "E0805";
inline constexpr const char* no_cases = "E0806";
inline constexpr const char* wrong_state = "E0807";
inline constexpr const char* no_answer = "E0808";

// Warnings
inline constexpr const char* odd_memory = "W0701";
inline constexpr const char* share_holds_image = "W0702";
inline constexpr const char* oci_user = "W0703";
inline constexpr const char* little_room = "W0704";
inline constexpr const char* incomplete_kvm = "W0705";

} // namespace codes

} // namespace microvmc
