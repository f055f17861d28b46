#pragma once

// Who uses a disk image, by the kernel's locks on it: open file description locks (fcntl(2)), which network file
// systems have as well and which the kernel lets go with the last process.
//
// QEMU locks single bytes from 100 on (qemu: block/file-posix.c): one that lets it write has byte 101 locked.
// cloud-hypervisor locks all bytes that the image has (block/src/io/fcntl.rs). A machine's supervisor locks one far
// behind all of these, whichever hypervisor it has, so that two machines never have one image, and nobody takes it
// while a guest reboots.

namespace microvmc {

enum class ImageAccess { read, write };

/// Locks an image for one machine: any number read it, or one writes it. Held by the open file description, which must
/// allow the access. False when another has it. Throws Error when the file can't be locked at all.
bool lock_image(int fd, ImageAccess access);

struct ImageUse {
    bool used = false;    ///< somebody has it locked
    bool written = false; ///< somebody who may write it
};

/// Of others than this open file description. Takes no lock.
ImageUse image_use(int fd);

} // namespace microvmc
