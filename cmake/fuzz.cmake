# Every file of tests/fuzz is a program of its own, over core/, by libFuzzer. Clang only; tests/fuzz/run runs them.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "PARTS=fuzz needs clang (-DCMAKE_CXX_COMPILER=clang++-19)")
endif()

set(FUZZ_OPTIONS -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
target_compile_options(apikey_core PRIVATE ${FUZZ_OPTIONS} -fsanitize=fuzzer-no-link)

foreach(TARGET llm_usage)
    add_executable(${TARGET}_fuzz tests/fuzz/${TARGET}_fuzz.cpp)
    target_compile_options(${TARGET}_fuzz PRIVATE ${FUZZ_OPTIONS} -fsanitize=fuzzer)
    target_link_options(${TARGET}_fuzz PRIVATE ${FUZZ_OPTIONS} -fsanitize=fuzzer)
    target_link_libraries(${TARGET}_fuzz PRIVATE apikey_core warnings)
endforeach()
