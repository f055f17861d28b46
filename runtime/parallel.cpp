#include "runtime/parallel.h"

#include "runtime/error.h"
#include "runtime/executor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

namespace microvmc {

namespace {

using State = GroupResult::State;

class Groups {
public:
    Groups(std::span<const ActionGroup> groups, Host& host, const GroupProgress& progress)
        : groups_(groups), host_(host), progress_(progress), results_(groups.size()), performed_(groups.size()) {
        for (std::size_t i = 0; i < groups.size(); ++i) { by_name_.emplace(groups[i].name, i); }
    }

    // One worker's life.
    void work() {
        std::unique_lock lock(mutex_);
        for (;;) {
            const std::optional<std::size_t> next = take();
            if (next) {
                lock.unlock();
                GroupResult result = perform(*next);
                lock.lock();
                results_[*next] = std::move(result);
                tell_end(*next);
                changed_.notify_all();
            } else if (is_over()) {
                changed_.notify_all();
                return;
            } else {
                changed_.wait(lock);
            }
        }
    }

    std::vector<GroupResult> take_results() {
        for (std::size_t i = groups_.size(); i-- > 0;) { undo_if_in_vain(i); }
        return std::move(results_);
    }

private:
    // The next that can begin, which runs from now on. Those that can't any more are skipped on the way.
    std::optional<std::size_t> take() {
        for (std::size_t i = 0; i < groups_.size(); ++i) {
            if (results_[i].state != State::waiting) { continue; }
            bool ready = true;
            for (const std::string& name : groups_[i].after) {
                const auto found = by_name_.find(name);
                if (found == by_name_.end()) { continue; }
                const GroupResult& before = results_[found->second];
                if (before.state == State::failed || before.state == State::skipped) {
                    results_[i].state = State::skipped;
                    results_[i].because = before.state == State::failed ? name : before.because;
                    tell_end(i);
                    ready = false;
                    break;
                }
                ready = ready && before.state == State::done;
            }
            if (!ready) { continue; }
            results_[i].state = State::running;
            return i;
        }
        return std::nullopt;
    }

    [[nodiscard]] bool is_over() const {
        return std::ranges::none_of(results_, [](const GroupResult& result) {
            return result.state == State::waiting || result.state == State::running;
        });
    }

    GroupResult perform(std::size_t index) {
        const ActionGroup& group = groups_[index];
        const auto begin = std::chrono::steady_clock::now();
        GroupResult result;
        auto performed = std::make_unique<Performed>(host_);
        Progress progress;
        progress.begin = [&](const Action& action) {
            const std::scoped_lock lock(mutex_);
            if (progress_.begin) { progress_.begin(group, action); }
        };
        progress.advance = [&](const Action& action, const std::string& how_far) {
            const std::scoped_lock lock(mutex_);
            if (progress_.advance) { progress_.advance(group, action, how_far); }
        };
        try {
            performed->perform(group.actions, progress);
            result.state = State::done;
        } catch (const TimeoutError& error) {
            result = {.state = State::failed, .error = error.what(), .help = error.help, .timed_out = true};
        } catch (const Error& error) { result = {.state = State::failed, .error = error.what(), .help = error.help}; }
        if (group.vm.empty()) { performed_[index] = std::move(performed); }
        result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        return result;
    }

    void tell_end(std::size_t index) {
        if (progress_.end) { progress_.end(groups_[index], results_[index]); }
    }

    void undo_if_in_vain(std::size_t index) {
        if (!performed_[index] || results_[index].state != State::done) { return; }
        bool any = false;
        for (std::size_t i = index + 1; i < groups_.size(); ++i) {
            const auto& after = groups_[i].after;
            if (std::ranges::find(after, groups_[index].name) == after.end()) { continue; }
            if (results_[i].state == State::done) { return; }
            any = true;
        }
        if (!any) { return; }
        const std::string left = performed_[index]->undo();
        const auto failed = std::ranges::find(results_, State::failed, &GroupResult::state);
        if (failed != results_.end()) { failed->error += left; }
    }

    std::span<const ActionGroup> groups_;
    Host& host_;
    const GroupProgress& progress_;
    std::map<std::string_view, std::size_t> by_name_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<GroupResult> results_;
    std::vector<std::unique_ptr<Performed>> performed_;
};

} // namespace

std::vector<GroupResult> perform_groups(std::span<const ActionGroup> groups, Host& host, unsigned parallelism,
                                        const GroupProgress& progress) {
    Groups all(groups, host, progress);
    const std::size_t workers = std::min<std::size_t>(std::max(parallelism, 1U), groups.size());
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < workers; ++i) {
        threads.emplace_back([&all] { all.work(); });
    }
    all.work();
    for (std::thread& thread : threads) { thread.join(); }
    return all.take_results();
}

void throw_failures(std::span<const ActionGroup> groups, const std::vector<GroupResult>& results) {
    std::string text;
    std::string help;
    bool timed_out = false;
    std::vector<std::string> skipped;
    std::vector<std::string> went_on;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        const GroupResult& result = results[i];
        switch (result.state) {
        case State::failed:
            if (text.empty()) {
                help = result.help;
                timed_out = result.timed_out;
            }
            text += (text.empty() ? "" : "\n") + result.error;
            break;
        case State::skipped: skipped.push_back(fmt::format("{} (it awaits {})", groups[i].name, result.because)); break;
        case State::done:
            if (!groups[i].vm.empty()) { went_on.push_back(groups[i].name); }
            break;
        case State::waiting:
        case State::running: break; // none is left
        }
    }
    if (text.empty()) { return; }
    if (!skipped.empty()) { text += fmt::format("\n  not begun: {}", fmt::join(skipped, ", ")); }
    if (!went_on.empty()) { text += fmt::format("\n  done all the same: {}", fmt::join(went_on, ", ")); }
    if (timed_out) { throw TimeoutError(text, help); }
    throw Error(text, help);
}

} // namespace microvmc
