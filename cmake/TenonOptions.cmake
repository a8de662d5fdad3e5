# Compiler options that hold for every target of Tenon, and the helper that declares a test program.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Kind of build" FORCE)
endif()

find_program(TENON_CCACHE ccache)
if(TENON_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers are shared only if their time stamps do not count. Another checkout of the same sources finds
  # what this one compiled, but for debug information, which names files.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
    CCACHE_BASEDIR=${PROJECT_SOURCE_DIR})
  if(CMAKE_BUILD_TYPE STREQUAL Release)
    list(APPEND CMAKE_CXX_COMPILER_LAUNCHER CCACHE_NOHASHDIR=1)
  endif()
  list(APPEND CMAKE_CXX_COMPILER_LAUNCHER ${TENON_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

add_compile_options(-Wall -Wextra -Wno-unused-parameter)
# GCC 12 warns of overlaps in its own string headers (GCC bug 105329).
add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(CMAKE_CXX_COMPILER_LAUNCHER MATCHES ccache)
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>) # ccache asks for it
endif()

foreach(sanitizer IN LISTS TENON_SANITIZE)
  add_compile_options(-fsanitize=${sanitizer} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${sanitizer})
endforeach()
if(TENON_SANITIZE AND NOT TENON_RUNTIME_ONLY)
  # LLVM has no type information, and what is built against it has none; objects pass from there to code that has.
  add_compile_options(-fno-sanitize=vptr)
endif()

if(TENON_SANITIZE)
  add_library(tenon_sanitizer_settings OBJECT ${CMAKE_CURRENT_LIST_DIR}/SanitizerSettings.cpp)
  link_libraries($<BUILD_INTERFACE:$<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:tenon_sanitizer_settings>>)
endif()

# tenon_join_sources(target): in a build with sanitizers, which compiles all that the release has compiled, sources are
# joined by eights: the standard library's headers are half of what each costs.
function(tenon_join_sources target)
  if(TENON_SANITIZE)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    # What is a source's own looks to GCC like a header's, once sources are included.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

# Where tests find this checkout's files: a header, since what is in the options would keep other checkouts from
# sharing the objects.
configure_file(${CMAKE_CURRENT_LIST_DIR}/Checkout.h.in ${PROJECT_BINARY_DIR}/generated/Checkout.h)

# Every program that CTest runs but the packages', without the command and the examples.
add_custom_target(test_programs)

# tenon_add_test(NAME SOURCES … LIBRARIES … [LABELS …]): a GoogleTest program, each case known to CTest.
function(tenon_add_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  add_dependencies(test_programs ${name})
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} GTest::gmock GTest::gtest GTest::gtest_main)
  # GoogleTest's macros hold an if of their own. Tests compute little: they are sooner compiled than run.
  target_compile_options(${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-dangling-else> $<$<CONFIG:Release>:-O1>)
  target_include_directories(${name} PRIVATE ${PROJECT_BINARY_DIR}/generated)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/tests)
  list(LENGTH ARG_SOURCES files)
  if(files GREATER 2 AND NOT compiler IN_LIST ARG_LABELS) # programs of the compiler are built without type information
    target_precompile_headers(${name} REUSE_FROM tenon_test_precompiled)
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST TEST_PREFIX ${name}.
    PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 600 ENVIRONMENT TENON_CACHE=off)
endfunction()
