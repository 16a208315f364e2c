# Every file of tests/fuzz is a program of its own, by libFuzzer. Clang only; tests/fuzz/run runs them.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "PARTS=fuzz needs clang (-DCMAKE_CXX_COMPILER=clang++-19)")
endif()

set(FUZZ_OPTIONS -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
foreach(LIBRARY apikey_core apikey_sidecar_input)
    target_compile_options(${LIBRARY} PRIVATE ${FUZZ_OPTIONS} -fsanitize=fuzzer-no-link)
endforeach()

# Fuzz targets over one library.
function(add_fuzz_targets LIBRARY)
    foreach(TARGET ${ARGN})
        add_executable(${TARGET}_fuzz tests/fuzz/${TARGET}_fuzz.cpp)
        target_compile_options(${TARGET}_fuzz PRIVATE ${FUZZ_OPTIONS} -fsanitize=fuzzer)
        target_link_options(${TARGET}_fuzz PRIVATE ${FUZZ_OPTIONS} -fsanitize=fuzzer)
        target_link_libraries(${TARGET}_fuzz PRIVATE ${LIBRARY} GTest::gtest warnings)
    endforeach()
endfunction()

add_fuzz_targets(apikey_core
    bearer
    key_cache
    key_facts
    llm_usage
    lookup_session
    queries
    redis_pipeline
    spool_file
    subscription
    usage_slot)
add_fuzz_targets(apikey_sidecar_input
    batch_copy
    batch_rows
    csv_reader
    import_rows
    key_input
    settings)
