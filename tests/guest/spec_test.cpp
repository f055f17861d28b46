#include "runtime/guest/spec.h"

#include "runtime/guest/settings.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <random>

namespace microvmc::guest {
namespace {

using Fields = std::vector<std::string>;

/// What every kind of record makes of one text, in spec.h's order.
std::string whole_spec() {
    std::string text;
    append_record(text, "module", {"virtio.ko"});
    append_record(text, "module", {"virtio_blk.ko"});
    append_record(text, "param", {"hostname", "hello"});
    append_record(text, "param", {"console", "/dev/hvc0"});
    append_record(text, "param", {"agent", "virtio-port:microvmc.agent"});
    append_record(text, "param", {"end", "reboot"});
    append_record(text, "file-system", {"xfs", "libcrc32c.ko", "xfs.ko"});
    append_record(text, "param", {"machine-id", "0123456789abcdef0123456789abcdef"});
    append_record(text, "root", {"disk", "volume", "rootser", "rootuuid", "0", "2", "ext4", "ro"});
    append_record(text, "overlay", {"ser", "uuid", "3", "ext4", "noatime", "1"});
    append_record(text, "volume", {"ser", "uuid", "2", "ext4", "/data", "noatime", "1"});
    append_record(text, "share", {"9p", "src", "/src", "ro"});
    append_record(text, "share", {"virtiofs", "v", "/v", ""});
    append_record(text, "interface",
                  {"52:54:00:AB:CD:EF", "10.0.2.15/24", "fd00::2/64", "", "10.0.2.2", "10.0.2.3", "1.1.1.1"});
    append_record(text, "interface", {"52:54:00:00:00:02", "", ""});
    append_record(text, "mtu", {"52:54:00:AB:cd:EF", "1400"});
    append_record(text, "credential", {"token"});
    append_record(text, "env", {"GREETING", "hello world=1"});
    append_record(text, "workdir", {"/data"});
    append_record(text, "command", {"sh", "-c", "", "exit 3"});
    append_record(text, "init", {"/sbin/init"});
    append_record(text, "ready", {"http", "8080", "/healthz"});
    return text;
}

Failure parse_one(std::string_view verb, const Fields& args, Settings& settings) {
    std::string text;
    append_record(text, verb, args);
    return parse_settings(text, settings);
}

TEST(Spec, RecordsRoundTrip) {
    std::string text;
    append_record(text, "a", {});
    append_record(text, "b", {"", "x y\n", ""});
    bool whole = false;
    const auto records = parse_records(text, whole);
    EXPECT_TRUE(whole);
    ASSERT_EQ(records.size(), 2U);
    EXPECT_EQ(records[0].verb, "a");
    EXPECT_TRUE(records[0].args.empty());
    EXPECT_EQ(records[1].args, (std::vector<std::string_view>{"", "x y\n", ""}));
}

TEST(Spec, EveryTruncationIsMalformedUnlessItEndsBetweenRecords) {
    const std::string text = whole_spec();
    bool whole = false;
    std::vector<std::size_t> ends{0};
    parse_records(text, whole);
    ASSERT_TRUE(whole);
    int good = 0;
    for (std::size_t size = 0; size <= text.size(); ++size) {
        parse_records(std::string_view(text).substr(0, size), whole);
        good += whole ? 1 : 0;
    }
    EXPECT_EQ(good, 1 + 22); // nothing, and after each of the 22
}

TEST(Spec, ManglingNeverCrashes) {
    std::mt19937 random(5);
    const std::string good = whole_spec();
    for (int round = 0; round < 20'000; ++round) {
        std::string bad = good;
        for (auto changes = 1 + random() % 3; changes > 0; --changes) {
            const std::size_t at = random() % bad.size();
            switch (random() % 3) {
            case 0: bad[at] = static_cast<char>(random() & 0xff); break;
            case 1: bad.erase(at, 1 + random() % 4); break;
            default: bad.insert(at, 1, static_cast<char>('0' + random() % 10)); break;
            }
        }
        Settings settings;
        parse_settings(bad, settings);
    }
}

TEST(Spec, SettingsOfEveryRecord) {
    Settings settings;
    const auto failure = parse_settings(whole_spec(), settings);
    ASSERT_FALSE(failure.has_value()) << *failure;
    EXPECT_EQ(settings.modules, (Fields{"virtio.ko", "virtio_blk.ko"}));
    EXPECT_EQ(settings.hostname, "hello");
    EXPECT_EQ(settings.console, "/dev/hvc0");
    EXPECT_EQ(settings.agent, "virtio-port:microvmc.agent");
    EXPECT_EQ(settings.end, EndCall::reboot);
    ASSERT_TRUE(settings.root.has_value());
    EXPECT_EQ(settings.root->kind, RootSettings::Kind::disk);
    EXPECT_EQ(settings.root->overlay, RootSettings::Overlay::volume);
    EXPECT_EQ(settings.root->disk.serial, "rootser");
    EXPECT_EQ(settings.root->disk.uuid, "rootuuid");
    EXPECT_EQ(settings.root->disk.position, 0U);
    EXPECT_EQ(settings.root->disk.fs, "ext4");
    EXPECT_EQ(settings.root->partition, 2U);
    EXPECT_FALSE(settings.root->writable);
    ASSERT_TRUE(settings.overlay.has_value());
    EXPECT_EQ(settings.overlay->serial, "ser");
    EXPECT_EQ(settings.overlay->position, 3U);
    EXPECT_EQ(settings.overlay->options, "noatime");
    EXPECT_TRUE(settings.overlay->grow);
    EXPECT_EQ(settings.machine_id, "0123456789abcdef0123456789abcdef");
    ASSERT_EQ(settings.file_systems.size(), 1U);
    EXPECT_EQ(settings.file_systems[0].name, "xfs");
    EXPECT_EQ(settings.file_systems[0].modules, (Fields{"libcrc32c.ko", "xfs.ko"}));
    ASSERT_EQ(settings.volumes.size(), 1U);
    EXPECT_EQ(settings.volumes[0].serial, "ser");
    EXPECT_EQ(settings.volumes[0].uuid, "uuid");
    EXPECT_EQ(settings.volumes[0].position, 2U);
    EXPECT_EQ(settings.volumes[0].fs, "ext4");
    EXPECT_EQ(settings.volumes[0].mount_point, "/data");
    EXPECT_EQ(settings.volumes[0].options, "noatime");
    EXPECT_TRUE(settings.volumes[0].grow);
    ASSERT_EQ(settings.shares.size(), 2U);
    EXPECT_EQ(settings.shares[0].protocol, ShareSettings::Protocol::p9);
    EXPECT_EQ(settings.shares[1].protocol, ShareSettings::Protocol::virtiofs);
    ASSERT_EQ(settings.interfaces.size(), 2U);
    EXPECT_EQ(settings.interfaces[0].mac, "52:54:00:ab:cd:ef");
    ASSERT_EQ(settings.interfaces[0].addresses.size(), 2U);
    EXPECT_EQ(settings.interfaces[0].addresses[1], parse_address("fd00::2/64"));
    EXPECT_EQ(settings.interfaces[0].gateway, parse_address("10.0.2.2"));
    EXPECT_EQ(settings.interfaces[0].dns, (Fields{"10.0.2.3", "1.1.1.1"}));
    EXPECT_EQ(settings.interfaces[0].mtu, 1400);
    EXPECT_EQ(settings.interfaces[1].mtu, 0);
    EXPECT_TRUE(settings.interfaces[1].addresses.empty());
    EXPECT_FALSE(settings.interfaces[1].gateway.has_value());
    EXPECT_EQ(settings.credentials, (Fields{"token"}));
    EXPECT_EQ(settings.env, (Fields{"GREETING=hello world=1"}));
    EXPECT_EQ(settings.workdir, "/data");
    EXPECT_EQ(settings.command, (Fields{"sh", "-c", "", "exit 3"}));
    EXPECT_EQ(settings.init, "/sbin/init");
    const auto* http = std::get_if<ready::Http>(&settings.ready);
    ASSERT_NE(http, nullptr);
    EXPECT_EQ(http->port, 8080);
    EXPECT_EQ(http->path, "/healthz");
}

TEST(Spec, RootsOfEveryKind) {
    const auto root_of = [](const Fields& args) {
        Settings settings;
        const auto failure = parse_one("root", args, settings);
        EXPECT_FALSE(failure.has_value()) << failure.value_or("");
        return settings.root.value_or(RootSettings{});
    };
    const RootSettings share = root_of({"share", "tmpfs", "rootfs"});
    EXPECT_EQ(share.kind, RootSettings::Kind::share);
    EXPECT_EQ(share.tag, "rootfs");
    EXPECT_EQ(share.overlay, RootSettings::Overlay::tmpfs);
    const RootSettings store = root_of({"store", "tmpfs", "t", "/nix/store"});
    EXPECT_EQ(store.kind, RootSettings::Kind::store);
    EXPECT_EQ(store.store, "/nix/store");
    const RootSettings disk = root_of({"disk", "none", "s", "", "0", "0", "", "rw"});
    EXPECT_EQ(disk.kind, RootSettings::Kind::disk);
    EXPECT_EQ(disk.overlay, RootSettings::Overlay::none);
    EXPECT_EQ(disk.partition, 0U);
    EXPECT_TRUE(disk.disk.fs.empty());
    EXPECT_TRUE(disk.writable);
}

TEST(Spec, ReadyKinds) {
    const auto ready_of = [](const Fields& args) {
        Settings settings;
        settings.ready = ready::Notify{};
        const auto failure = parse_one("ready", args, settings);
        EXPECT_FALSE(failure.has_value()) << failure.value_or("");
        return settings.ready;
    };
    EXPECT_TRUE(std::holds_alternative<ready::Init>(ready_of({"init"})));
    EXPECT_TRUE(std::holds_alternative<ready::Host>(ready_of({"exit", "0"})));
    EXPECT_TRUE(std::holds_alternative<ready::Host>(ready_of({"console", "login:"})));
    EXPECT_TRUE(std::holds_alternative<ready::Notify>(ready_of({"notify"})));
    EXPECT_EQ(std::get<ready::Tcp>(ready_of({"tcp", "5432"})).port, 5432);
    EXPECT_EQ(std::get<ready::Command>(ready_of({"command", "pg_isready", "-q"})).argv, (Fields{"pg_isready", "-q"}));
}

TEST(Spec, WhatCannotBeDoneIsRefusedWithItsPlace) {
    const auto message = [](std::string_view verb, const Fields& args) {
        Settings settings;
        return parse_one(verb, args, settings).value_or("accepted");
    };
    EXPECT_EQ(message("modul", {"x"}), "record 1, modul: unknown verb");
    EXPECT_EQ(message("module", {}), "record 1, module: wrong number of arguments");
    EXPECT_EQ(message("param", {"colour", "red"}), "record 1, param: unknown key colour");
    EXPECT_EQ(message("param", {"end", "halt"}), "record 1, param: end is neither reboot nor poweroff: halt");
    EXPECT_EQ(message("root", {"image", "none", "x"}),
              "record 1, root: unknown kind or wrong number of arguments: image");
    EXPECT_EQ(message("root", {"share", "none", "x", "y"}),
              "record 1, root: unknown kind or wrong number of arguments: share");
    EXPECT_EQ(message("root", {"share", "disk", "x"}), "record 1, root: unknown overlay disk");
    EXPECT_EQ(message("root", {"disk", "none", "s", "", "0", "x", "", "ro"}),
              "record 1, root: partition is not a number: x");
    EXPECT_EQ(message("root", {"disk", "none", "s", "", "0", "0", "", "r"}),
              "record 1, root: mode is neither ro nor rw: r");
    EXPECT_EQ(message("credential", {"../x"}), "record 1, credential: no name of a file: ../x");
    EXPECT_EQ(message("credential", {".hidden"}), "record 1, credential: no name of a file: .hidden");
    EXPECT_EQ(message("overlay", {"s", "", "-1", "ext4", "", "0"}), "record 1, overlay: position is not a number: -1");
    EXPECT_EQ(message("volume", {"", "", "x", "ext4", "/", "", "0"}), "record 1, volume: position is not a number: x");
    EXPECT_EQ(message("volume", {"", "", "0", "ext4", "/", "", "yes"}),
              "record 1, volume: grow is neither 0 nor 1: yes");
    EXPECT_EQ(message("share", {"nfs", "t", "/", ""}), "record 1, share: unknown protocol nfs");
    EXPECT_EQ(message("interface", {"m", "10.0.0.300/24", "", ""}),
              "record 1, interface: not an address: 10.0.0.300/24");
    EXPECT_EQ(message("interface", {"m", "10.0.0.3/24", "10.0.0.1"}),
              "record 1, interface: addresses without an end, or no gateway");
    EXPECT_EQ(message("interface", {"m", "10.0.0.3/24", ""}),
              "record 1, interface: addresses without an end, or no gateway");
    EXPECT_EQ(message("interface", {"m", "", "gw"}), "record 1, interface: gateway is not an address: gw");
    EXPECT_EQ(message("mtu", {"m", "67"}), "record 1, mtu: not an MTU: 67");
    EXPECT_EQ(message("mtu", {"m", "1400"}), "record 1, mtu: no interface before it has the MAC m");
    EXPECT_EQ(message("ready", {"tcp", "0"}), "record 1, ready: not a port: 0");
    EXPECT_EQ(message("ready", {"tcp"}), "record 1, ready: unknown kind or too few arguments: tcp");
    Settings settings;
    EXPECT_EQ(parse_settings("half", settings), "malformed after record 0");
}

TEST(Spec, Addresses) {
    const auto v4 = parse_address("10.0.2.15/24");
    ASSERT_TRUE(v4.has_value());
    EXPECT_EQ(v4->family, AF_INET);
    EXPECT_EQ(v4->prefix, 24U);
    EXPECT_EQ(v4->size(), 4U);
    EXPECT_EQ(v4->bytes[0], 10);
    EXPECT_EQ(v4->bytes[3], 15);
    const auto v6 = parse_address("fd00::1");
    ASSERT_TRUE(v6.has_value());
    EXPECT_EQ(v6->family, AF_INET6);
    EXPECT_EQ(v6->prefix, 128U);
    EXPECT_EQ(v6->bytes[15], 1);
    EXPECT_EQ(parse_address("10.0.2.15")->prefix, 32U);
    for (const char* bad : {"", "/", "10.0.2", "10.0.2.15/33", "10.0.2.15/", "10.0.2.15/x", "fd00::1/129", "fd00:::1",
                            "10.0.2.15/24/24", "host"}) {
        EXPECT_FALSE(parse_address(bad).has_value()) << bad;
    }
}

} // namespace
} // namespace microvmc::guest
