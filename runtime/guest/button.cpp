#include "runtime/guest/button.h"

#include <fcntl.h>
#include <linux/input.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace microvmc::guest {

std::vector<Fd> open_power_buttons() {
    constexpr const char* directory = "/dev/input";
    std::vector<Fd> buttons;
    for (const auto& name : list_directory(directory)) {
        if (name.compare(0, 5, "event") != 0) { continue; }
        Fd device(::open(concat({directory, "/", name}).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
        unsigned char keys[KEY_MAX / 8 + 1] = {};
        if (!device.open() || ioctl(device.get(), EVIOCGBIT(EV_KEY, sizeof keys), keys) < 0) { continue; }
        if ((keys[KEY_POWER / 8] >> (KEY_POWER % 8) & 1) != 0) { buttons.push_back(std::move(device)); }
    }
    return buttons;
}

bool power_pressed(int device) {
    bool pressed = false;
    input_event event{};
    while (::read(device, &event, sizeof event) == sizeof event) {
        pressed |= event.type == EV_KEY && event.code == KEY_POWER && event.value == 1;
    }
    return pressed;
}

} // namespace microvmc::guest
