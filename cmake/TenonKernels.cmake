# tenon_add_kernels(app manifest.json TARGETS sm_80 host:x86-64-v3 … [SIGN secret-key] [DESTINATION bin]):
# compiles what the manifest lists whenever it changes, into the folder app.kernels beside the program, which
# finds it there wherever both are moved; installs the folder beside it, in DESTINATION.
set(TENON_KERNELS_SOURCE ${CMAKE_CURRENT_LIST_DIR}/TenonKernels.cpp.in)

function(tenon_add_kernels target manifest)
  cmake_parse_arguments(ARG "" "SIGN;DESTINATION" "TARGETS" ${ARGN})
  if(NOT ARG_TARGETS)
    message(FATAL_ERROR "tenon_add_kernels(${target} ${manifest}): TARGETS names none")
  endif()
  get_filename_component(manifest ${manifest} ABSOLUTE BASE_DIR ${CMAKE_CURRENT_SOURCE_DIR})
  set(TENON_KERNELS_FOLDER ${target}.kernels)
  set(directory ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${TENON_KERNELS_FOLDER})
  set(stamp ${directory}.stamp)
  set(options "")
  foreach(name IN LISTS ARG_TARGETS)
    list(APPEND options --target ${name})
  endforeach()
  if(ARG_SIGN)
    list(APPEND options --sign ${ARG_SIGN})
  endif()
  add_custom_command(OUTPUT ${stamp}
    COMMAND Tenon::command cache build ${manifest} ${options} -o ${directory}
    COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
    DEPENDS ${manifest} COMMENT "Building kernels of ${target}" VERBATIM)
  add_custom_target(${target}_kernels DEPENDS ${stamp})
  if(TARGET tenon_compiler)
    add_dependencies(${target}_kernels tenon_compiler)
  endif()
  add_dependencies(${target} ${target}_kernels)
  # Beside the program; a directory that others can write would be refused, whatever the umask is.
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${stamp})
  set(beside $<TARGET_FILE_DIR:${target}>/${TENON_KERNELS_FOLDER})
  add_custom_command(TARGET ${target} POST_BUILD
    COMMAND ${CMAKE_COMMAND} -E copy_directory ${directory} ${beside}
    COMMAND chmod -R go-w ${beside} VERBATIM)

  # A variable of the program's own registers the folder before main.
  configure_file(${TENON_KERNELS_SOURCE} ${CMAKE_CURRENT_BINARY_DIR}/${target}.kernels.cpp @ONLY)
  target_sources(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/${target}.kernels.cpp)
  if(ARG_DESTINATION)
    install(DIRECTORY ${directory} DESTINATION ${ARG_DESTINATION} USE_SOURCE_PERMISSIONS)
  endif()
endfunction()
