#include "runtime/share_image.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/root/directory_source.h"
#include "runtime/root/erofs_writer.h"
#include "runtime/root/root_builder.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

namespace microvmc {

std::string share_images_dir(const std::string& state_dir) {
    return state_dir + "/shares";
}

std::string share_image_path(const VmPlan& vm, const SharePlan& share) {
    return fmt::format("{}/{}.erofs", share_images_dir(vm.state_dir), share.name);
}

void build_share_image(const BuildShareImage& request) {
    NewFile image(request.output, 0600);
    try {
        const std::uint64_t room =
            std::filesystem::space(std::filesystem::path(request.output).parent_path()).available;
        const std::unique_ptr<ImageWriter> writer = make_erofs_writer(image.fd(), room, {});
        RootBuilder files(*writer);
        read_directory(request.source, files, [](std::uint64_t /*bytes*/) {});
        writer->finish(files.names());
    } catch (const Error& error) {
        throw Error(fmt::format("can't make an image of {}: {}", printable(request.source), error.what()), error.help);
    } catch (const std::filesystem::filesystem_error& error) {
        throw Error(fmt::format("can't make an image of {}: {}", printable(request.source), error.what()));
    }
    image.replace(Sync::whenever);
}

} // namespace microvmc
