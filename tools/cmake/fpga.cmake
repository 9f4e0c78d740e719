# SPDX-License-Identifier: Apache-2.0
# XRT, for real cards: headers and libraries of Debian's libxrt-dev or of the vendor.
option(PRONGHORN_XRT "FPGA cards through XRT" OFF)

# What the RTL and the host share: rtl/configs.toml as the header fpga_configurations.h.
function(ph_fpga_configurations)
  find_package(Python3 3.10 COMPONENTS Interpreter REQUIRED)
  set(dir ${CMAKE_BINARY_DIR}/fpga)
  set(script ${CMAKE_SOURCE_DIR}/rtl/tools/configs.py)
  add_custom_command(OUTPUT ${dir}/fpga_configurations.h
                     COMMAND ${Python3_EXECUTABLE} ${script} --cpp ${dir}/fpga_configurations.h
                     COMMAND ${CMAKE_COMMAND} -E touch_nocreate ${dir}/fpga_configurations.h
                     DEPENDS ${script} ${CMAKE_SOURCE_DIR}/rtl/configs.toml VERBATIM)
  add_custom_target(fpga_configurations_header DEPENDS ${dir}/fpga_configurations.h)
  add_library(fpga_configurations INTERFACE)
  add_dependencies(fpga_configurations fpga_configurations_header)
  target_include_directories(fpga_configurations INTERFACE ${dir})
endfunction()

function(ph_fpga_xrt target)
  if(PRONGHORN_XRT)
    find_path(XRT_INCLUDE_DIR xrt/xrt_device.h PATH_SUFFIXES xrt REQUIRED)
    find_library(XRT_LIBRARY xrt_coreutil REQUIRED)
    target_include_directories(${target} SYSTEM PRIVATE ${XRT_INCLUDE_DIR})
    target_link_libraries(${target} PRIVATE ${XRT_LIBRARY} uuid)
    target_compile_definitions(${target} PRIVATE PRONGHORN_XRT)
  endif()
endfunction()
