# Installing, and what find_package(Tenon) finds.
include(CMakePackageConfigHelpers)

set(tenon_exported tenon_runtime tenon)
install(TARGETS ${tenon_exported} EXPORT TenonTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime
  NAMELINK_COMPONENT development)
install(DIRECTORY runtime/include/tenon python-free-frontend/include/tenon
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(TARGETS tenon_command EXPORT TenonTargets
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)

# The emulated driver stays off the loader's path: it answers to the name of the real one.
install(TARGETS tenon_emulated_driver
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/tenon/emulated COMPONENT runtime)

if(NOT TENON_RUNTIME_ONLY)
  # Opened at run time, at the first kernel that no cache holds; nothing links it.
  install(TARGETS tenon_compiler EXPORT TenonTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT compiler
    NAMELINK_COMPONENT compiler)
  install(TARGETS tenon-opt tenon-reduce tenon-lsp-server
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT compiler)
endif()

install(EXPORT TenonTargets NAMESPACE Tenon:: FILE TenonTargets.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Tenon COMPONENT development)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/TenonConfig.cmake.in
  ${PROJECT_BINARY_DIR}/TenonConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Tenon)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/TenonConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/TenonConfig.cmake ${PROJECT_BINARY_DIR}/TenonConfigVersion.cmake
  ${CMAKE_CURRENT_LIST_DIR}/TenonKernels.cmake ${CMAKE_CURRENT_LIST_DIR}/TenonKernels.cpp.in
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Tenon COMPONENT development)
