# Before 1.0 a minor version may break what used the one before, so `find_package` gets no other.
set(PACKAGE_VERSION "@VERSION@")
set(PACKAGE_VERSION_EXACT FALSE)
set(PACKAGE_VERSION_COMPATIBLE FALSE)

if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
if("${PACKAGE_FIND_VERSION_MAJOR}.${PACKAGE_FIND_VERSION_MINOR}" STREQUAL "@MAJOR@.@MINOR@"
    AND NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()

# A package for another operating system is none: its structures are not those of this one. Where
# there is none of these, the machine is called what the integrator likes. Releases of QNX are not
# told apart: projects do not say theirs.
if(CMAKE_SYSTEM_NAME)
  set(_htp_runtime_system "${CMAKE_SYSTEM_NAME}")
  if(NOT _htp_runtime_system MATCHES "^(Linux|Android|QNX|Windows|Darwin|FreeBSD)$")
    set(_htp_runtime_system "none")
  endif()
  if(NOT _htp_runtime_system STREQUAL "@SYSTEM@")
    set(PACKAGE_VERSION_UNSUITABLE TRUE)
  endif()
  unset(_htp_runtime_system)
endif()
# Nor is one for machines with another size of pointers, nor one for another processor.
if(CMAKE_SIZEOF_VOID_P AND NOT CMAKE_SIZEOF_VOID_P EQUAL "@POINTER_BYTES@")
  set(PACKAGE_VERSION_UNSUITABLE TRUE)
endif()
# Without an operating system the processor is called what the integrator likes.
if(CMAKE_SYSTEM_PROCESSOR AND NOT CMAKE_SYSTEM_NAME STREQUAL "Generic")
  string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" _htp_runtime_processor)
  if(NOT _htp_runtime_processor MATCHES "^(@PROCESSORS@)")
    set(PACKAGE_VERSION_UNSUITABLE TRUE)
  endif()
  unset(_htp_runtime_processor)
endif()
