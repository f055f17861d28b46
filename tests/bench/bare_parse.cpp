// A bare parse by toml++ as its documentation has it, apart from the compiler's own, which is built otherwise. Prints
// the median in ms. Usage: bare_parse FILE ROUNDS

#include <toml++/toml.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
    if (argc != 3) { return 64; }
    std::ifstream file(argv[1]);
    std::stringstream content;
    content << file.rdbuf();
    const std::string text = content.str();
    std::vector<double> times;
    for (int i = 0; i < std::atoi(argv[2]); ++i) {
        const auto begin = std::chrono::steady_clock::now();
        if (toml::parse(text).empty()) { return 1; }
        times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    }
    std::sort(times.begin(), times.end());
    std::printf("%f\n", times.at(times.size() / 2));
    return 0;
}
