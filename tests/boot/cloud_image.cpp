#include "tests/boot/cloud_image.h"

#include "runtime/error.h"
#include "runtime/file_lock.h"
#include "runtime/process.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace microvmc::boot {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::minutes patience{25};
constexpr const char* packages =
    "linux-image-cloud-amd64,initramfs-tools,systemd-sysv,systemd-boot-efi,dbus,udev,cloud-init";
// MiB: the EFI system partition begins at 1; the root follows it.
constexpr unsigned esp_mib = 160;
constexpr unsigned root_mib = 2048;

Ran run(const std::vector<std::string>& argv, const std::string& input = {}) {
    RunOptions options;
    options.timeout = patience;
    options.input = input;
    Ran ran = run_program(argv, options);
    if (ran.status != 0) { throw Error(fmt::format("{} failed: {}", argv.front(), last_words(ran))); }
    return ran;
}

/// The newest of what begins so in a directory.
std::string find(const fs::path& directory, const std::string& prefix) {
    for (const auto& entry : fs::directory_iterator(directory)) {
        if (entry.path().filename().string().starts_with(prefix)) { return entry.path().string(); }
    }
    throw Error(fmt::format("{} has no {}", directory.string(), prefix));
}

void make_esp(const std::string& tree, const std::string& image) {
    std::ofstream(image).close();
    fs::resize_file(image, std::uintmax_t{esp_mib} << 20U);
    run({"mkfs.vfat", "-n", "ESP", image});
    const std::string texts = tree + ".texts";
    fs::create_directories(texts);
    std::ofstream(texts + "/loader.conf") << "default debian.conf\ntimeout 0\n";
    std::ofstream(texts + "/debian.conf") << "title Debian\nlinux /vmlinuz\ninitrd /initrd.img\n"
                                             "options root=LABEL=cloudroot rw console=ttyS0 quiet\n";
    for (const char* directory : {"::EFI", "::EFI/BOOT", "::loader", "::loader/entries"}) {
        run({"mmd", "-i", image, directory});
    }
    for (const auto& [from, to] :
         {std::pair<std::string, std::string>{tree + "/usr/lib/systemd/boot/efi/systemd-bootx64.efi",
                                              "::EFI/BOOT/BOOTX64.EFI"},
          {find(tree + "/boot", "vmlinuz-"), "::vmlinuz"},
          {find(tree + "/boot", "initrd.img-"), "::initrd.img"},
          {texts + "/loader.conf", "::loader/loader.conf"},
          {texts + "/debian.conf", "::loader/entries/debian.conf"}}) {
        run({"mcopy", "-i", image, from, to});
    }
}

void make_image(const std::string& work, const std::string& result) {
    const std::string tree = work + "/tree";
    run({"mmdebstrap", "--quiet", "--variant=minbase", std::string("--include=") + packages, "--format=directory",
         "--aptopt=APT::Install-Recommends \"false\"", "--customize-hook=rm -rf \"$1\"/var/lib/apt/lists",
         // What fetches from clouds isn't there, and asking for it would take a minute.
         "--customize-hook=echo 'datasource_list: [NoCloud, None]' > \"$1\"/etc/cloud/cloud.cfg.d/90-here.cfg",
         "bookworm", tree});
    make_esp(tree, work + "/esp");
    std::ofstream(work + "/root").close();
    fs::resize_file(work + "/root", std::uintmax_t{root_mib} << 20U);
    run({"mke2fs", "-q", "-t", "ext4", "-L", "cloudroot", "-d", tree, work + "/root"});

    const std::string disk = work + "/disk";
    std::ofstream(disk).close();
    fs::resize_file(disk, std::uintmax_t{esp_mib + root_mib + 2} << 20U);
    run({"sfdisk", "-q", disk}, fmt::format("label: gpt\nstart=1MiB, size={}MiB, type=uefi\nstart={}MiB, size={}MiB\n",
                                            esp_mib, esp_mib + 1, root_mib));
    for (const auto& [part, at] : {std::pair<std::string, unsigned>{work + "/esp", 1}, {work + "/root", esp_mib + 1}}) {
        run({"dd", "if=" + part, "of=" + disk, "bs=1M", fmt::format("seek={}", at), "conv=notrunc,sparse",
             "status=none"});
    }
    run({"qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, result});
}

} // namespace

std::string uefi_firmware() {
    return "/usr/share/ovmf/OVMF.fd";
}

std::string cloud_image(std::string& why_not) {
    if (::geteuid() != 0) {
        why_not = "only root makes a root's file system of a directory with its owners";
        return {};
    }
    if (!fs::exists(uefi_firmware())) {
        why_not = "ovmf is not installed";
        return {};
    }
    const std::string path = std::string(TEST_BINARY_DIR) + "/cloud-image.qcow2";
    const FileLock lock(path + ".lock", patience, "the cloud image");
    if (fs::exists(path)) { return path; }
    const std::string work = path + ".work";
    std::error_code ignored;
    fs::remove_all(work, ignored);
    try {
        fs::create_directories(work);
        make_image(work, work + "/result");
        fs::rename(work + "/result", path);
    } catch (const Error& error) { why_not = error.what(); }
    fs::remove_all(work, ignored);
    return why_not.empty() ? path : std::string();
}

} // namespace microvmc::boot
