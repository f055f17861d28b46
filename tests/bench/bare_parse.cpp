// A bare parse by toml++ as its documentation has it, apart from the compiler's own, which is built otherwise. Usage:
// bare_parse FILE

#include <toml++/toml.h>

#include <fstream>
#include <sstream>

int main(int argc, char** argv) {
    if (argc != 2) { return 64; }
    std::ifstream file(argv[1]);
    std::stringstream content;
    content << file.rdbuf();
    return toml::parse(content.str()).empty() ? 1 : 0;
}
