# SPDX-License-Identifier: Apache-2.0
# Verilated modules of rtl/, for its benches and for the device's simulator.
set(PRONGHORN_RTL_SIMULATOR "" CACHE STRING "Configuration whose RTL the port `verilator` simulates (needs Verilator)")

option(PRONGHORN_RTL_COVERAGE "Benches of the RTL write what they reach: NAME.coverage" OFF)

# The SystemVerilog package of one configuration.
function(rtl_package config)
  set(file ${CMAKE_BINARY_DIR}/rtl/${config}/pronghorn_pkg.sv)
  set(rtl ${CMAKE_SOURCE_DIR}/rtl)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${rtl}/configs.toml ${rtl}/tools/configs.py)
  if(NOT EXISTS ${file} OR ${rtl}/configs.toml IS_NEWER_THAN ${file})
    execute_process(COMMAND ${Python3_EXECUTABLE} ${rtl}/tools/configs.py --sv ${config} ${file}
                    COMMAND_ERROR_IS_FATAL ANY)
  endif()
  set(RTL_PACKAGE ${file} PARENT_SCOPE)
endfunction()

# rtl_library(CONFIG TOP SOURCES... [ARGS verilator's]): a Verilated module, once for all that use it; sources
# are relative to rtl/. -O1: the compiler's time counts for more than the simulation's, but for u250.
function(rtl_library config top)
  cmake_parse_arguments(ARG "" "" "SOURCES;ARGS" ${ARGN})
  set(target rtl_${top}_${config}_library)
  if(TARGET ${target})
    return()
  endif()
  find_package(verilator REQUIRED HINTS $ENV{VERILATOR_ROOT})
  set(rtl ${CMAKE_SOURCE_DIR}/rtl)
  set(options -O3 --x-assign fast --x-initial fast --assert --unroll-count 4 -Wno-fatal -Wno-lint
      --output-split 20000 -y ${rtl}/src)
  if(PRONGHORN_RTL_COVERAGE)
    list(APPEND options --coverage-line --coverage-toggle --coverage-max-width 32)
  endif()
  set(optimise -O1)
  if(config STREQUAL "u250")
    set(optimise "-O3 -march=native")
  endif()
  rtl_package(${config})
  list(TRANSFORM ARG_SOURCES PREPEND ${rtl}/)
  add_library(${target} STATIC EXCLUDE_FROM_ALL ${rtl}/tb/bench.cpp)
  # Verilator's own headers and output are not ours to warn about.
  target_compile_options(${target} PRIVATE -w)
  verilate(${target} SOURCES ${RTL_PACKAGE} ${rtl}/src/pronghorn_types.sv ${ARG_SOURCES} TOP_MODULE ${top}
           PREFIX V${top} VERILATOR_ARGS ${options} ${ARG_ARGS} OPT_FAST ${optimise} OPT_SLOW -O0)
endfunction()

# The port `verilator` of the device, if a configuration is chosen.
function(ph_fpga_simulator target)
  if(NOT PRONGHORN_RTL_SIMULATOR)
    return()
  endif()
  rtl_library(${PRONGHORN_RTL_SIMULATOR} pronghorn SOURCES src/pronghorn.sv)
  add_library(ph_fpga_verilator STATIC ${CMAKE_SOURCE_DIR}/src/device/fpga/verilator/port_verilator.cpp)
  target_include_directories(ph_fpga_verilator PRIVATE ${CMAKE_SOURCE_DIR}/rtl/tb ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(ph_fpga_verilator PRIVATE rtl_pronghorn_${PRONGHORN_RTL_SIMULATOR}_library ph_device
                        fpga_configurations)
  target_compile_definitions(ph_fpga_verilator PRIVATE PRONGHORN_RTL_SIMULATOR="${PRONGHORN_RTL_SIMULATOR}")
  # Of Verilator's headers.
  target_compile_options(ph_fpga_verilator PRIVATE -Wno-unused-parameter)
  target_link_libraries(${target} PRIVATE ph_fpga_verilator)
  target_compile_definitions(${target} PRIVATE PRONGHORN_RTL_SIMULATOR)
endfunction()
