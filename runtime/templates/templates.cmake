# The templates of `microvmc init`, as a source file: every file below this directory, each template's microvm.toml last.
set(templates_dir ${CMAKE_CURRENT_LIST_DIR})
file(GLOB_RECURSE template_paths CONFIGURE_DEPENDS RELATIVE ${templates_dir} ${templates_dir}/*/*)
set(entries "")
set(names "")
foreach(path IN LISTS template_paths)
    string(REGEX REPLACE "/.*" "" name ${path})
    list(APPEND names ${name})
endforeach()
list(REMOVE_DUPLICATES names)
foreach(name IN LISTS names)
    set(paths ${template_paths})
    list(FILTER paths INCLUDE REGEX "^${name}/")
    list(REMOVE_ITEM paths ${name}/microvm.toml)
    foreach(path IN LISTS paths ITEMS ${name}/microvm.toml)
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${templates_dir}/${path})
        file(READ ${templates_dir}/${path} text)
        string(REGEX REPLACE "^${name}/" "" inside ${path})
        string(APPEND entries "    {\"${name}\", \"${inside}\", R\"~~~(${text})~~~\"},\n")
    endforeach()
endforeach()
set(templates_source ${CMAKE_CURRENT_BINARY_DIR}/templates.cpp)
file(WRITE ${templates_source}.new "#include \"runtime/commands/templates.h\"

namespace microvmc {

namespace {
constexpr TemplateFile files[] = {
${entries}};
} // namespace

std::span<const TemplateFile> template_files() {
    return files;
}

} // namespace microvmc
")
configure_file(${templates_source}.new ${templates_source} COPYONLY) # its time changes only with its text
