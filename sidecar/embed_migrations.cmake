# Writes OUT: a C++ file that holds the SQL of FILES (separated by |), so that apikeyctl needs no files of its own.
string(REPLACE "|" ";" files "${FILES}")
set(entries "")
foreach(file ${files})
    get_filename_component(name "${file}" NAME_WE)
    string(REGEX MATCH "^[0-9]+" digits "${name}")
    string(REGEX REPLACE "^0+" "" version "${digits}")
    file(READ "${file}" sql)
    string(APPEND entries "    {${version}, \"${name}\", R\"__sql__(${sql})__sql__\"},\n")
endforeach()
file(WRITE "${OUT}" "// Made from db/migrations by sidecar/embed_migrations.cmake.
#include <array>

#include \"sidecar/schema.hpp\"

namespace apikey {
namespace {

constexpr auto kMigrations = std::to_array<Migration>({
${entries}});

}  // namespace

std::span<const Migration> migrations() {
    return kMigrations;
}

}  // namespace apikey
")
