# SPDX-License-Identifier: Apache-2.0
# The CUDA language and runtime. The compiler is CUDACXX, nvcc on the path, or what
# tools/setup_cuda.sh installed. The runtime is linked statically and looks the driver up when the
# program runs, so one binary serves machines with and without a GPU.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(PH_NVCC nvcc)
  if(NOT PH_NVCC)
    find_program(PH_NVCC nvcc PATHS ${CMAKE_SOURCE_DIR}/.cache/cuda/toolkit/bin NO_DEFAULT_PATH)
  endif()
  if(NOT PH_NVCC)
    message(FATAL_ERROR "PRONGHORN_CUDA needs nvcc 13 or newer: run tools/setup_cuda.sh")
  endif()
  file(REAL_PATH ${PH_NVCC} CMAKE_CUDA_COMPILER)
endif()
if(NOT CMAKE_CUDA_HOST_COMPILER)
  set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
endif()
set(CMAKE_CUDA_ARCHITECTURES 90) # of the compiler's own check; kernels say theirs below
enable_language(CUDA)
# CMake 3.25 does not know this of CUDA 13.
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
get_filename_component(PH_CUDA_HOME ${CMAKE_CUDA_COMPILER} DIRECTORY)
get_filename_component(PH_CUDA_HOME ${PH_CUDA_HOME} DIRECTORY)
find_path(PH_CUDA_INCLUDE cuda_runtime_api.h HINTS ${PH_CUDA_HOME}/include
          ${PH_CUDA_HOME}/targets/x86_64-linux/include REQUIRED)
find_library(PH_CUDART cudart_static HINTS ${PH_CUDA_HOME}/lib64 ${PH_CUDA_HOME}/lib
             ${PH_CUDA_HOME}/targets/x86_64-linux/lib REQUIRED)
add_library(cuda_runtime INTERFACE)
target_include_directories(cuda_runtime SYSTEM INTERFACE ${PH_CUDA_INCLUDE})
target_link_libraries(cuda_runtime INTERFACE ${PH_CUDART} rt dl)

# A kernel file is compiled for the generations from which its suffix says that it runs, and as text
# that the driver compiles for newer ones; *_sm90a.cu for that one alone, whose instructions no
# other generation has.
function(ph_cuda_kernels target)
  set(PH_CUDA_GENERATIONS "" CACHE STRING "Only these (90 for Hopper): quicker builds")
  foreach(source IN LISTS ARGN)
    get_filename_component(name ${source} NAME_WE)
    set(codes "75-real;80-real;90")
    if(name MATCHES "_sm80$")
      set(codes "80-real;90")
    elseif(name MATCHES "_sm90a$")
      set(codes "90a-real")
    endif()
    if(PH_CUDA_GENERATIONS AND NOT codes STREQUAL "90a-real")
      set(codes ${PH_CUDA_GENERATIONS})
    endif()
    add_library(${target}_${name} OBJECT ${source})
    target_link_libraries(${target}_${name} PRIVATE cuda_runtime)
    target_include_directories(${target}_${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
    set_target_properties(${target}_${name} PROPERTIES CUDA_ARCHITECTURES "${codes}"
                          CUDA_VISIBILITY_PRESET hidden)
    # Functions of plain headers that are constexpr may run on the GPU too. No flag that changes
    # arithmetic: the law names each rounding.
    target_compile_options(${target}_${name} PRIVATE --expt-relaxed-constexpr
                           -Werror=all-warnings -Xcompiler=-Wall,-Wextra)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_${name}>)
  endforeach()
endfunction()
