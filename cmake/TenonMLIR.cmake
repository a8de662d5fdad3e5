# Finds LLVM and MLIR 22 as shared libraries, and the helpers for dialects.

find_package(MLIR 22.1 CONFIG REQUIRED HINTS /usr/lib/llvm-22 /usr/lib64/llvm22 /opt/llvm-22)
message(STATUS "MLIR ${LLVM_PACKAGE_VERSION} in ${MLIR_DIR}")
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)

# TableGen looks where the directory does.
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})

# Everything that includes LLVM's headers links this; SYSTEM keeps their warnings to themselves.
add_library(tenon_llvm INTERFACE)
target_include_directories(tenon_llvm SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
target_compile_options(tenon_llvm INTERFACE -fno-rtti)
target_compile_definitions(tenon_llvm INTERFACE ${LLVM_DEFINITIONS_LIST})
target_link_libraries(tenon_llvm INTERFACE MLIR LLVM)
