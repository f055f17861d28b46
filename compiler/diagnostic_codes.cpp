#include "compiler/diagnostic_codes.h"

#include <algorithm>

namespace microvmc {

namespace {
constexpr CodeInfo table[] = {
    {codes::too_large, "The file is too large",
     "A microvm.toml, with all that it includes, may have 8 MiB. The limit keeps hostile input from using up memory."},
    {codes::not_utf8, "The file is not UTF-8",
     "TOML is defined as UTF-8. The position is that of the first byte that isn't."},
    {codes::too_deep, "Values or keys are nested too deeply",
     "Arrays and inline tables may be nested 32 deep, and a dotted key or a table header may have 32 parts. Nothing in "
     "the language needs more than ten."},
    {codes::syntax, "The text is not TOML",
     "The TOML parser stops at the first mistake, so there may be others after it. https://toml.io/en/v1.0.0 is the "
     "grammar."},
    {codes::unknown_key, "There is no such key",
     "Keys that the language doesn't know are refused, since a misspelt key that is ignored is worse than an error. A "
     "key that follows a [header] or a [[header]] belongs to that table."},
    {codes::wrong_type, "The value has the wrong type", "Each key takes values of one form, which the message names."},
    {codes::unknown_value, "There is no such value", "The key takes one of a few words."},
    {codes::out_of_range, "The number is out of range",
     "The message names the least or the greatest value that is allowed."},
    {codes::bad_size, "This is no size",
     "A size is an integer of MiB, or a string with a binary unit: \"512MiB\", \"512M\", \"4GiB\", \"4G\". \"MB\" and "
     "\"GB\" are refused, because people mean different things by them."},
    {codes::bad_duration, "This is no duration",
     "A duration is an integer of seconds, or a string like \"1m30s\" of hours (h), minutes (m), seconds (s) and "
     "milliseconds (ms), the greater first."},
    {codes::bad_path, "The path can't be used",
     "Paths are relative to the file that says them. `~` and environment variables are refused: a plan must not depend "
     "on who makes it. Paths in the guest are absolute."},
    {codes::bad_name, "This is no name",
     "Names of projects, machines, volumes and so on begin with a letter and have at most 31 of a-z, 0-9 and -. They "
     "become file names, host names and tags."},
    {codes::bad_text, "The text has something in it that it can't have",
     "The value is handed to another program, whose syntax has no way to say it."},
    {codes::one_of, "The keys exclude each other", "Some tables are a choice: one key says which kind it is."},
    {codes::missing_key, "A key is missing", "The message names what is needed."},
    {codes::bad_forward, "This is no forward",
     "A forward is written \"[ADDR:]HOST:GUEST[/udp]\", for instance \"8080:80\" or \"[::1]:5353:53/udp\", or as a "
     "table with `host` and `guest`."},
    {codes::bad_address, "This is no address",
     "IP addresses are written in numbers, with a prefix length where one is needed; MAC addresses are unicast."},
    {codes::bare_secret, "A secret stands in the file",
     "Files are copied, mailed and committed. A credential says where the secret comes from instead: `file`, `env` or "
     "`command`."},
    {codes::bad_version, "The version of the language is not known", "The file was written for another microvmc."},
    {codes::no_vms, "There is no machine", "A project has at least one [vm.NAME]."},
    {codes::too_many, "There are too many", "The limit keeps hostile input from using up memory."},
    {codes::conflicting_keys, "The keys don't go together",
     "What one key says can't be done together with what the other says."},
    {codes::unnamed, "An element needs a name",
     "Elements of a collection are told apart by name, so that an edited file changes the right one. One without a "
     "name gets it from what it is, where that is unique enough."},
    {codes::unknown_template, "There is no such template", "`extends` names [template.NAME] tables."},
    {codes::extends_cycle, "A template extends itself", "Directly or through others."},
    {codes::nothing_to_remove, "There is nothing to remove",
     "NAME = false removes an element that [defaults] or a template gave. Here none did."},
    {codes::include_cycle, "A file includes itself", "Directly or through others."},
    {codes::include_failed, "A file can't be included", "The message says why."},
    {codes::duplicate_name, "Two have the same name", "Names tell things apart."},
    {codes::duplicate_mac, "Two interfaces have the same MAC address",
     "They would get the same lease, and packets of each other. Leave `mac` out to have one derived."},
    {codes::duplicate_host_port, "Two forwards take the same port of the host",
     "Only one program can listen on an address and port."},
    {codes::duplicate_image, "Two machines write the same image",
     "Each would destroy the other's file system. Read-only images may be used by several."},
    {codes::duplicate_mount_point, "Two things are mounted in the same place", "The later would hide the earlier."},
    {codes::duplicate_tag, "Two shares have the same tag", "The guest finds a share by its tag."},
    {codes::duplicate_serial, "Two volumes have the same serial number",
     "The guest finds a volume by its serial number."},
    {codes::duplicate_interface_id, "Two interfaces have the same name on the host",
     "A tap's name is the host's, for all machines together."},
    {codes::duplicate_cid, "Two machines have the same vsock CID", "A CID is the host's, for all machines together."},
    {codes::forward_without_interface, "A forward has no interface to go through",
     "Ports are forwarded by interfaces of type user."},
    {codes::unknown_vm, "There is no such machine", "`depends-on` names machines of the same project."},
    {codes::dependency_cycle, "Machines wait for each other", "None of them could start first."},
    {codes::socket_too_long, "The path of a socket is too long",
     "A Unix socket's path has at most 107 bytes (sun_path in unix(7)). A shorter project or machine name, or a "
     "shorter runtime directory, helps."},
    {codes::missing_size, "A volume has no size",
     "A volume that is to be made needs one; an existing image has its own."},
    {codes::unknown_network, "There is no such network", "`network` names a [network.NAME] table."},
    {codes::address_outside, "The address is not in its network", "The guest could not reach its gateway."},
    {codes::duplicate_address, "Two interfaces have the same address",
     "Within one network, an address belongs to one interface."},
    {codes::memory_order, "The amounts of memory contradict each other",
     "mem is at most mem-max; a balloon leaves at least its floor and is smaller than mem."},
    {codes::unknown_volume, "There is no such volume", "`root.overlay` names a volume of the same machine."},
    {codes::overlapping_networks, "Two networks have addresses in common",
     "A packet to such an address could go to either. Leave `subnet` out to have one derived."},
    {codes::no_hypervisor, "No hypervisor can run this",
     "None of the hypervisors that are allowed is installed, works on this host and can do everything that the machine "
     "asks for. The notes say why for each."},
    {codes::unsupported, "The hypervisor can't do this", "The message says why, the help what would do it."},
    {codes::no_accel, "The accelerator doesn't work here",
     "accel = \"kvm\" forbids emulation, and KVM can't run guests on this host, for the reason that the message gives. "
     "With \"auto\" the machine is emulated."},
    {codes::no_kernel, "There is no kernel",
     "With no `kernel` named, the newest /boot/vmlinuz-* is taken, and there is none that can be read."},
    {codes::missing_path, "The file or directory doesn't exist", "It must exist on the host that the plan is for."},
    {codes::bad_kernel, "The file is no kernel that can be booted", "A kernel is a bzImage or an ELF vmlinux."},
    {codes::too_many_vcpus, "The hypervisor has fewer virtual CPUs", "The message names its limit."},
    {codes::foreign_arch, "The architecture is not the host's", "The message says which one the host has."},
    {codes::no_free_port, "No port is free", "Ports are allocated from 20000 to 29999, and all are taken."},
    {codes::too_many_devices, "The machine has more devices than slots",
     "Each volume, share, interface and device takes a slot of the hypervisor's machine."},
    {codes::no_tool, "A program that this needs is not installed", "The help says which package has it."},
    {codes::bad_image, "The file is no image of that format",
     "A format is never guessed, since the guest of a raw image can write what another format begins with. A volume is "
     "raw unless `format` says otherwise."},
    {codes::needs_root, "This needs root",
     "Only root may make interfaces and firewall rules on the host. Interfaces of type user need no privilege."},
    {codes::host_lacks, "This host or hypervisor can't do it as it is said",
     "The message says what is missing here, the help what would bring it."},
    {codes::no_huge_pages, "The host has too few free huge pages",
     "They are set aside by the host's administrator, in /proc/sys/vm/nr_hugepages or "
     "/sys/kernel/mm/hugepages/hugepages-SIZE/nr_hugepages, best at the host's boot."},
    {codes::kernel_lacks, "The kernel lacks what the machine needs",
     "Its configuration (`kernel-config`, a file beside it, or what CONFIG_IKCONFIG put into it) says that it was built "
     "without a driver or a feature which the machine, its init or its hypervisor can't do without. Build it in, or "
     "take another kernel."},
    {codes::volume_shrinks, "A volume would shrink",
     "A file system can't be made smaller while its data is kept safe, so this is refused."},
    {codes::volume_changes, "A volume that exists would become another",
     "Its file system or format is fixed when it is made."},
    {codes::volume_stays, "A volume that exists can't grow", "The message says what keeps it from growing."},
    {codes::image_in_use, "An image is used by another machine",
     "Two that write one image destroy its file system, and one that reads what another writes sees nonsense. The "
     "kernel's "
     "locks keep them apart as well; this says it before anything is done."},
    {codes::no_room, "There is no room for the volumes",
     "What is written when they are made, file systems and copies of other images, doesn't fit on the host's file "
     "system."},
    {codes::unknown_reference, "There is nothing of that name to refer to",
     "In a spec, ${NAME} stands for an axis of its matrix, for what an earlier step captured, or, as ${vm.NAME.KEY}, "
     "for a value of a machine's plan."},
    {codes::unknown_capability, "There is no such capability",
     "`proves` names capabilities, as `microvmc hypervisors` lists them. What a case merely uses is found out from its "
     "machines and steps."},
    {codes::bad_pattern, "This is no regular expression",
     "`matches` and `capture` take regular expressions as ECMAScript has them. A literal string ('...') needs no "
     "double backslashes."},
    {codes::bad_axis, "This is no axis of a matrix",
     "An axis is an array of values, or a table of fragments, which are merged over the spec's machines. It has at "
     "least one, and each is there once. Its name begins with a letter and has at most 31 of a-z, 0-9 and _, since it "
     "becomes an environment variable."},
    {codes::unknown_axis, "There is no such axis",
     "`exclude` leaves out the points of the matrix at which all that an entry says holds: values of axes, and "
     "`hypervisor`, `accel` and `interpreted` of what a case is run on."},
    {codes::no_cases, "Nothing is left of the matrix", "`exclude` leaves out every point of it."},
    {codes::wrong_state, "The machine isn't in the state for this step",
     "A command needs a machine that runs, and the image of a volume is read when its machine has stopped. `vm` steps "
     "start and stop machines; one that ends by itself is awaited with `vm = \"wait\"`."},
    {codes::no_answer, "The step gives no such answer",
     "`expect` and `capture` are about what a step answers; docs/SPECS.md says for each kind of step what that is."},
    {codes::odd_memory, "This amount of memory is risky", "The message says why."},
    {codes::share_holds_image, "A share holds the image of a volume",
     "The guest that has the share can write the image under the other's feet. Move the image, or set read-only = "
     "true."},
    {codes::oci_user, "An OCI image's command runs as root",
     "The image says that its process is another user's. A machine's command is root's; one that changes the user does "
     "what the image means."},
    {codes::little_room, "The volumes may outgrow their disk",
     "Images are sparse: they take what their guests have written. When all are full, there isn't room for them, and a "
     "guest that writes then gets an I/O error."},
    {codes::incomplete_kvm, "KVM interprets its guests here",
     "This host has /dev/kvm, but not what stock kernels need of it: it is a virtual machine itself, most likely. A "
     "kernel that was built for that may run, and whoever names one knows; none is taken by itself."},
};
} // namespace

std::span<const CodeInfo> diagnostic_codes() {
    return table;
}

const CodeInfo* find_code(std::string_view code) {
    const auto* found = std::ranges::find(table, code, &CodeInfo::code);
    return found == std::end(table) ? nullptr : found;
}

} // namespace microvmc
