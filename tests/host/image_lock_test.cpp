#include "runtime/image_lock.h"

#include "runtime/fd.h"
#include "runtime/files.h"
#include "runtime/image_users.h"
#include "tests/host/temporary.h"

#include <gtest/gtest.h>

#include <fcntl.h>

namespace microvmc {
namespace {

class ImageLock : public testing::Test {
protected:
    void SetUp() override { write_whole(image, "x", 0600); }
    [[nodiscard]] Fd open() const { return Fd(::open(image.c_str(), O_RDWR | O_CLOEXEC)); }

    TemporaryDirectory directory;
    std::string image = directory / "a.img";
};

// As QEMU locks for one that writes (a shared lock on what it does, one on what it doesn't let others do) or reads.
void lock_like_qemu(int fd, std::initializer_list<off_t> bytes) {
    for (const off_t byte : bytes) {
        struct flock lock {};
        lock.l_type = F_RDLCK;
        lock.l_whence = SEEK_SET;
        lock.l_start = byte;
        lock.l_len = 1;
        ASSERT_EQ(::fcntl(fd, F_OFD_SETLK, &lock), 0);
    }
}

TEST_F(ImageLock, OneWritesOrAnyNumberRead) {
    const Fd first = open();
    const Fd second = open();
    const Fd third = open();
    EXPECT_TRUE(lock_image(first.get(), ImageAccess::read));
    EXPECT_TRUE(lock_image(second.get(), ImageAccess::read));
    EXPECT_FALSE(lock_image(third.get(), ImageAccess::write));
    EXPECT_TRUE(image_use(third.get()).used);
    EXPECT_FALSE(image_use(third.get()).written);
    EXPECT_FALSE(lock_image(first.get(), ImageAccess::write)) << "the second reads it";
}

TEST_F(ImageLock, GoesWithItsLastProcess) {
    Fd first = open();
    const Fd second = open();
    ASSERT_TRUE(lock_image(first.get(), ImageAccess::write));
    EXPECT_FALSE(image_use(first.get()).used) << "its own isn't another's";
    EXPECT_TRUE(image_use(second.get()).used);
    EXPECT_TRUE(image_use(second.get()).written);
    Fd inherited(::dup(first.get()));
    first.reset();
    EXPECT_FALSE(lock_image(second.get(), ImageAccess::read));
    inherited.reset();
    EXPECT_TRUE(lock_image(second.get(), ImageAccess::write));
}

TEST_F(ImageLock, KnowsQemus) {
    const Fd ours = open();
    EXPECT_FALSE(image_use(ours.get()).used);
    {
        const Fd reader = open();
        lock_like_qemu(reader.get(), {100, 201, 203});
        EXPECT_TRUE(image_use(ours.get()).used);
        EXPECT_FALSE(image_use(ours.get()).written);
    }
    const Fd writer = open();
    lock_like_qemu(writer.get(), {100, 101, 201, 203});
    EXPECT_TRUE(image_use(ours.get()).written);
    EXPECT_TRUE(lock_image(ours.get(), ImageAccess::write)) << "QEMU's own bytes are others";
}

TEST_F(ImageLock, NobodyIsAMachine) {
    EXPECT_EQ(image_user(directory.path(), image), "");
    EXPECT_EQ(image_user(directory / "none", image), "");
    EXPECT_EQ(image_user(directory.path(), directory / "none"), "");
}

} // namespace
} // namespace microvmc
