// A fuzz target without a fuzzer: smoke COUNT FILE... runs the files and then COUNT mutations of them, the same ones
// each time. Ends early, and well, after 8 s.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto longest = std::chrono::seconds(8);
constexpr std::size_t largest = 20'000; ///< a seed that is larger is run once

void run(const std::string& input) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

class Mutator {
public:
    explicit Mutator(const std::vector<std::string>& seeds) : seeds_(seeds) {}

    std::string next() {
        std::string input = seeds_[below(seeds_.size())];
        for (std::size_t times = 1 + below(4); times > 0; --times) { mutate(input); }
        return input;
    }

private:
    std::size_t below(std::size_t n) { return n == 0 ? 0 : random_() % n; }

    void mutate(std::string& input) {
        const std::size_t at = below(input.size());
        const std::size_t size = below(std::min<std::size_t>(input.size() - at, 40)) + 1;
        const std::string& other = seeds_[below(seeds_.size())];
        switch (below(5)) {
        case 0: // a bit
            if (!input.empty()) { input[at] = static_cast<char>(input[at] ^ (1 << below(8))); }
            return;
        case 1: input.erase(at, size); return;
        case 2: input.insert(at, input.substr(at, size)); return;
        case 3: input.insert(at, 1, static_cast<char>(random_())); return;
        case 4: // a piece of another one
            input.insert(at, other.substr(below(other.size()), below(60)));
            return;
        }
    }

    const std::vector<std::string>& seeds_;
    std::mt19937 random_{20261123}; // NOLINT(cert-msc51-cpp): the same each time
};

} // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fputs("usage: smoke COUNT FILE...\n", stderr);
        return 64;
    }
    const auto deadline = Clock::now() + longest;
    std::vector<std::string> seeds;
    for (int i = 2; i < argc; ++i) {
        std::ifstream file(argv[i], std::ios::binary);
        if (!file) {
            std::fprintf(stderr, "can't read %s\n", argv[i]);
            return 1;
        }
        std::string seed{std::istreambuf_iterator<char>(file), {}};
        run(seed);
        if (seed.size() <= largest) { seeds.push_back(std::move(seed)); }
    }
    Mutator mutator(seeds);
    const long count = seeds.empty() ? 0 : std::strtol(argv[1], nullptr, 10);
    long done = 0;
    for (; done < count && Clock::now() < deadline; ++done) {
        const std::string input = mutator.next();
        run(input);
    }
    std::printf("%d files, %ld mutations\n", argc - 2, done);
    return 0;
}
