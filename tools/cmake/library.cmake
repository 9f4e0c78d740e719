# SPDX-License-Identifier: Apache-2.0
# libpronghorn.so: every room behind the C ABI, and what `install` puts where.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(CMAKE_INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}") # of the program

file(READ ${CMAKE_SOURCE_DIR}/include/pronghorn/pronghorn.h header)
string(REGEX MATCH "#define PH_ABI_MAJOR ([0-9]+)" _ "${header}")
set(abi_major ${CMAKE_MATCH_1})

# The objects of capi themselves: nothing refers to its functions, so an archive would drop them.
add_library(pronghorn SHARED $<TARGET_OBJECTS:ph_capi>)
add_library(pronghorn::pronghorn ALIAS pronghorn)
target_link_libraries(pronghorn PRIVATE ph_capi)
target_link_options(pronghorn PRIVATE
                    -Wl,--version-script=${CMAKE_SOURCE_DIR}/src/capi/exports.map
                    -Wl,--exclude-libs,ALL -Wl,--as-needed)
if(NOT PRONGHORN_SANITIZE) # the sanitizer runtime is resolved in the program
  target_link_options(pronghorn PRIVATE -Wl,--no-undefined)
endif()
target_include_directories(pronghorn INTERFACE
                           $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
                           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(pronghorn PROPERTIES
                      VERSION ${abi_major}.${PROJECT_VERSION_MINOR}.${PROJECT_VERSION_PATCH}
                      SOVERSION ${abi_major}
                      LINK_DEPENDS ${CMAKE_SOURCE_DIR}/src/capi/exports.map
                      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})

install(TARGETS pronghorn EXPORT pronghorn LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/pronghorn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pronghorn)
install(EXPORT pronghorn NAMESPACE pronghorn:: FILE pronghornTargets.cmake
        DESTINATION ${package_dir})
configure_package_config_file(tools/cmake/pronghornConfig.cmake.in
                              ${CMAKE_BINARY_DIR}/pronghornConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/pronghornConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/pronghornConfig.cmake
        ${CMAKE_BINARY_DIR}/pronghornConfigVersion.cmake DESTINATION ${package_dir})

# The prefix is known only when `cmake --install` runs, so the file finds it from where it lies.
file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
configure_file(tools/cmake/pronghorn.pc.in ${CMAKE_BINARY_DIR}/pronghorn.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/pronghorn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
