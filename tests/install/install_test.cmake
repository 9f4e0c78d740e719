# SPDX-License-Identifier: Apache-2.0
# cmake -DBUILD=<build folder> -DVERSION=<x.y.z> -DCC=<C compiler> -P install_test.cmake
set(work ${BUILD}/tests/install/work)
set(consumer ${CMAKE_CURRENT_LIST_DIR}/consumer)
file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${work})

function(run)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${work} RESULT_VARIABLE status
                  OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    string(JOIN " " line ${ARGN})
    message(FATAL_ERROR "status ${status} of: ${line}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

function(expect_version how)
  string(STRIP "${output}" printed)
  if(NOT printed STREQUAL VERSION)
    message(FATAL_ERROR "a consumer built through ${how} printed '${printed}', not '${VERSION}'")
  endif()
  message(STATUS "${how}: ${printed}")
endfunction()

# DESTDIR first, then moved: neither the build folder nor the first prefix may matter.
run(${CMAKE_COMMAND} -E env DESTDIR=${work}/staged ${CMAKE_COMMAND} --install ${BUILD}
    --prefix /opt/pronghorn)
file(RENAME ${work}/staged/opt/pronghorn ${work}/moved)
set(prefix ${work}/moved)
file(GLOB_RECURSE pc ${prefix}/*/pronghorn.pc)
get_filename_component(pc_dir "${pc}" DIRECTORY)
get_filename_component(lib_dir "${pc_dir}" DIRECTORY)

run(${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${pc_dir} pkg-config --cflags --libs pronghorn)
separate_arguments(flags UNIX_COMMAND "${output}")
run(${CC} -std=c11 -Wall -Wextra -Werror -pedantic ${consumer}/consumer.c ${flags}
    -Wl,-rpath,${lib_dir} -o ${work}/by_pkg_config)
run(${work}/by_pkg_config)
expect_version(pkg-config)

run(${CMAKE_COMMAND} -S ${consumer} -B ${work}/consumer -DCMAKE_PREFIX_PATH=${prefix}
    -DCMAKE_C_COMPILER=${CC} -DWANTED=${VERSION})
run(${CMAKE_COMMAND} --build ${work}/consumer)
run(${work}/consumer/consumer)
expect_version(find_package)

# The installed program finds the installed library.
run(${prefix}/bin/pronghorn devices)
if(NOT output MATCHES "cpu")
  message(FATAL_ERROR "the installed program lists no cpu:\n${output}")
endif()
