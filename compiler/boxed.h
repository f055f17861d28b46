#pragma once

#include <memory>
#include <utility>

namespace microvmc {

/// An optional value that takes the room of a pointer when there is none: for what few objects have.
template <typename T> class Boxed {
public:
    using value_type = T;

    Boxed() = default;
    Boxed(const Boxed& other) : value_(other.value_ ? std::make_unique<T>(*other.value_) : nullptr) {}
    Boxed(Boxed&&) noexcept = default;
    Boxed& operator=(const Boxed& other) {
        value_ = other.value_ ? std::make_unique<T>(*other.value_) : nullptr;
        return *this;
    }
    Boxed& operator=(Boxed&&) noexcept = default;
    ~Boxed() = default;

    T& emplace(T value) {
        value_ = std::make_unique<T>(std::move(value));
        return *value_;
    }
    Boxed& operator=(T value) {
        emplace(std::move(value));
        return *this;
    }
    [[nodiscard]] bool has_value() const { return value_ != nullptr; }
    explicit operator bool() const { return has_value(); }
    T& operator*() { return *value_; }
    const T& operator*() const { return *value_; }
    T* operator->() { return value_.get(); }
    const T* operator->() const { return value_.get(); }

private:
    std::unique_ptr<T> value_;
};

} // namespace microvmc
