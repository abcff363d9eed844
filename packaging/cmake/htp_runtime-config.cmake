# Found by `find_package(htp_runtime CONFIG)`. Targets: `htp_runtime::static`, and where the package
# has a shared library `htp_runtime::shared`. Both bring the headers, also those under QNN's names.

get_filename_component(_htp_runtime_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(_htp_runtime_include "${_htp_runtime_prefix}/include" "${_htp_runtime_prefix}/include/qnn")

# A package for machines without an operating system has no threads, and nothing to link with.
set(_htp_runtime_links "")
if(@HAS_THREADS@)
  include(CMakeFindDependencyMacro)
  find_dependency(Threads)
  set(_htp_runtime_links Threads::Threads)
endif()

if(NOT TARGET htp_runtime::static)
  add_library(htp_runtime::static STATIC IMPORTED)
  set_target_properties(htp_runtime::static PROPERTIES
    IMPORTED_LOCATION "${_htp_runtime_prefix}/lib/libhtp_runtime.a"
    IMPORTED_LINK_INTERFACE_LANGUAGES C
    INTERFACE_INCLUDE_DIRECTORIES "${_htp_runtime_include}"
    INTERFACE_LINK_LIBRARIES "${_htp_runtime_links}")
endif()

if(NOT TARGET htp_runtime::shared AND EXISTS "${_htp_runtime_prefix}/lib/libhtp_runtime.so")
  add_library(htp_runtime::shared SHARED IMPORTED)
  set_target_properties(htp_runtime::shared PROPERTIES
    IMPORTED_LOCATION "${_htp_runtime_prefix}/lib/libhtp_runtime.so"
    IMPORTED_NO_SONAME TRUE
    INTERFACE_INCLUDE_DIRECTORIES "${_htp_runtime_include}")
endif()

unset(_htp_runtime_prefix)
unset(_htp_runtime_include)
unset(_htp_runtime_links)
