#pragma once

#include "compiler/boxed.h"
#include "compiler/source.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What a microvm.toml says, typed, with the place of each value. The keys, their defaults and their documentation are
// in schema.cpp; members are named after the keys. A member with a default always has a value (its span is unknown
// when the default holds); one without is optional. Sizes are MiB, durations milliseconds, paths absolute.

namespace microvmc {

template <typename T> using Opt = Boxed<Located<T>>;
using Strings = std::vector<Located<std::string>>;
/// A table of strings, in the order of the text.
using StringTable = std::vector<std::pair<Located<std::string>, Located<std::string>>>;

struct VolumeConfig {
    Located<std::string> name;
    Span span;
    Opt<std::string> image;
    Opt<std::int64_t> size;
    Located<std::string> fs_type;
    Located<std::string> format;
    Opt<std::string> mount_point;
    Strings mount_options;
    Opt<std::string> label;
    Opt<std::string> serial;
    Located<bool> read_only;
    Located<bool> direct;
    Opt<std::string> cache;
    Located<bool> discard;
    Located<bool> auto_create;
    Strings mkfs_args;
    Opt<std::string> backing;
    Opt<std::string> backing_format;
    Located<bool> protect;
};

struct ShareConfig {
    Located<std::string> name;
    Span span;
    Opt<std::string> source;
    Opt<std::string> mount_point;
    Located<std::string> proto;
    Opt<std::string> tag;
    Located<bool> read_only;
    Opt<std::string> cache;
    Located<bool> posix_acl;
    Located<bool> xattr;
    Located<bool> dax;
    Opt<std::string> security_model;
    Opt<std::string> uid_map;
    Opt<std::string> gid_map;
    Located<std::string> on_death;
    Opt<std::string> socket;
    Strings extra_args;
};

struct InterfaceConfig {
    Located<std::string> name;
    Span span;
    Opt<std::string> type;
    Opt<std::string> network;
    Opt<std::string> bridge;
    Opt<std::string> link;
    Opt<std::string> id;
    Opt<std::string> mac;
    Strings address;
    Opt<std::string> gateway;
    Strings dns;
    Opt<std::string> mode;
    Located<std::string> vhost;
    Opt<std::int64_t> queues;
    Opt<std::int64_t> mtu;
    Opt<std::int64_t> rate;
    Located<bool> managed;
    Located<bool> allow_spoofing;
};

struct EndpointConfig {
    Span span;
    Opt<std::string> address;
    Opt<std::int64_t> port;
};

struct ForwardConfig {
    Located<std::string> name;
    Span span;
    Located<std::string> from;
    Located<std::string> proto;
    std::optional<EndpointConfig> host;
    std::optional<EndpointConfig> guest;
};

struct DeviceConfig {
    Located<std::string> name;
    Span span;
    Opt<std::string> bus;
    Opt<std::string> path;
};

struct CredentialConfig {
    Located<std::string> name;
    Span span;
    Opt<std::string> file;
    Opt<std::string> env;
    Strings command;
};

struct RootConfig {
    Span span;
    Opt<std::string> image;
    Opt<std::string> dir;
    Opt<std::string> tar;
    Opt<std::string> oci;
    Opt<std::string> store;
    Opt<bool> host;
    Located<std::string> fs_type;
    Opt<std::string> format;
    Opt<std::int64_t> partition;
    Located<bool> read_only;
    Opt<std::string> overlay;
};

struct CloudInitConfig {
    Span span;
    Opt<std::string> user_data;
    Opt<std::string> meta_data;
    Opt<std::string> network_config;
};

struct VsockConfig {
    Span span;
    Opt<std::string> cid; ///< a number or "auto"
};

struct GraphicsConfig {
    Span span;
    Opt<std::string> backend;
    Opt<std::string> address;
    Opt<std::int64_t> port;
    Opt<std::string> socket;
};

struct ReadyConfig {
    Span span;
    Opt<std::int64_t> tcp;
    Opt<std::string> http;
    Opt<std::string> console;
    Strings command;
    Opt<bool> notify;
    Opt<std::int64_t> exit;
};

struct LimitsConfig {
    Span span;
    Opt<double> cpu;
    Opt<std::int64_t> mem;
    Opt<std::int64_t> pids;
    Opt<std::int64_t> io_read;
    Opt<std::int64_t> io_write;
};

/// [vm.x.NAME], where NAME is a hypervisor.
struct HypervisorConfig {
    Located<std::string> name;
    Span span;
    Opt<std::string> program;
    Strings extra_args;
    StringTable options; ///< the keys that Traits::options lists
};

/// A capability (traits.h) that something written in a VM asks for.
struct Need {
    std::string_view capability;
    Span span;
};

/// How an inherited value came to where it is used, for the note of a diagnostic.
struct Route {
    Span span;
    std::string message; ///< "inherited by `web` here"; empty for [defaults], which need no word
};

/// A value of a VM that was written elsewhere.
struct Inherited {
    Span span;
    std::uint32_t route = 0; ///< Config::routes - 1 is the index
};

struct VmConfig {
    Located<std::string> name;
    Span span;
    std::string group; ///< NAME of the `count` that it is of; empty: none
    Strings extends;
    Located<bool> enabled;
    Opt<std::int64_t> count;
    Strings hypervisor;
    Located<std::string> accel;
    Opt<std::string> arch;
    Opt<std::string> cpu;
    Located<std::int64_t> vcpu;
    Located<std::int64_t> mem;
    Opt<std::int64_t> mem_max;
    Located<std::string> hugepages;
    Located<std::string> balloon;
    Opt<std::int64_t> balloon_floor;
    Opt<std::int64_t> initial_balloon_mem;
    Located<bool> deflate_on_oom;
    Located<bool> free_page_reporting;
    Located<std::string> kernel;
    Opt<std::string> kernel_config;
    Opt<std::string> modules;
    Opt<std::string> initrd;
    Strings kernel_params;
    Boxed<RootConfig> root;
    Opt<std::string> firmware;
    Boxed<CloudInitConfig> cloud_init;
    Opt<std::string> init;
    Strings command;
    StringTable env;
    Opt<std::string> workdir;
    Opt<std::string> hostname;
    Opt<std::string> machine_id;
    std::vector<VolumeConfig> volumes;
    std::vector<ShareConfig> shares;
    std::vector<InterfaceConfig> interfaces;
    std::vector<ForwardConfig> forward_ports;
    std::vector<DeviceConfig> devices;
    Boxed<VsockConfig> vsock;
    Located<std::string> console;
    Boxed<GraphicsConfig> graphics;
    std::vector<CredentialConfig> credentials;
    Boxed<ReadyConfig> ready;
    Strings depends_on;
    Located<std::string> restart;
    Located<std::int64_t> restart_delay;
    Located<std::int64_t> restart_limit;
    Located<bool> autostart;
    Located<std::int64_t> startup_timeout;
    Located<std::int64_t> shutdown_timeout;
    Boxed<LimitsConfig> limits;
    Opt<std::string> vmm_user;
    std::vector<Strings> pre_start;
    std::vector<Strings> post_stop;
    std::vector<HypervisorConfig> hypervisors;

    std::vector<Need> needs;
    std::vector<Inherited> inherited; ///< of the values that `extends` and [defaults] gave
};

struct NetworkConfig {
    Located<std::string> name;
    Span span;
    Located<std::string> mode;
    Strings subnet;
    Opt<std::string> bridge;
    Located<bool> managed;
    Opt<std::string> uplink;
    Located<bool> dhcp;
    Located<bool> dns;
    Opt<std::string> domain;
    Opt<std::int64_t> mtu;
};

struct Config {
    Located<std::int64_t> version;
    Opt<std::string> name;
    Strings include;
    std::optional<VmConfig> defaults; ///< already part of each of `vms`
    std::vector<VmConfig> templates;  ///< as written, without what they extend
    std::vector<NetworkConfig> networks;
    std::vector<VmConfig> vms; ///< in the order of the text, `count` expanded
    std::vector<Route> routes; ///< how inherited values came to where they are used
};

} // namespace microvmc
