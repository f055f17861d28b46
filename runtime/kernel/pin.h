#pragma once

#include "compiler/plan.h"

namespace microvmc {

/// Copies a kernel into the directory `kernel.pin`, so that an upgrade of the host changes no plan:
///
///     vmlinuz      the file that was chosen (its data shared where the file system can)
///     vmlinux      the ELF, when the plan boots that: extracted, or the file itself
///     modules/     what a plan may need with all dependencies, decompressed, and depmod's indexes; made even when the
///                  kernel has none
///     config       the kernel's configuration, when it lies beside it
///     pin.json     KernelFacts: path of the copy, pinned_from and identity of the original
///
/// All of it appears at once, on disk, or nothing does; several processes may do it at the same time. A pin that is
/// there is never changed, but for a vmlinux that it lacks. Returns whether anything was made. Throws Error when the
/// file is another one than the plan was made with, or is no kernel of the form that the plan wants.
bool pin_kernel(const KernelPlan& kernel);

} // namespace microvmc
