# SPDX-License-Identifier: Apache-2.0
# One folder, one target: ph_room(<folder> [DEPS ...] [PRIVATE_DEPS ...])
#   *.cpp            -> static library ph_<folder with _>; linked into the shared library
#   *_test.cpp       -> test program <target>_test, label "unit"
#   *_slow_test.cpp  -> test program <target>_slow_test, label "slow"
#   *_<isa>.cpp      -> compiled with that instruction set's flags
set(PH_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(PH_ISA_FLAGS_avxvnni ${PH_ISA_FLAGS_avx2} -mavxvnni)
set(PH_ISA_FLAGS_avx512 ${PH_ISA_FLAGS_avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq
    -mprefer-vector-width=512
    -Wno-uninitialized -Wno-maybe-uninitialized) # g++ 12 warns of its own intrinsics (GCC bug 105593)
set(PH_ISA_FLAGS_avx512vnni ${PH_ISA_FLAGS_avx512} -mavx512vnni)
set(PH_ISA_FLAGS_amx ${PH_ISA_FLAGS_avx512vnni} -mamx-tile -mamx-int8)

function(ph_isa_flags)
  foreach(source IN LISTS ARGN)
    if(source MATCHES "_([a-z0-9]+)\\.cpp$")
      set(flags PH_ISA_FLAGS_${CMAKE_MATCH_1})
      if(DEFINED ${flags})
        set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${${flags}}")
      endif()
    endif()
  endforeach()
endfunction()

function(ph_test target label timeout)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${target} ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE ${ARG_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  add_test(NAME ${target} COMMAND ${target} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${target} PROPERTIES LABELS ${label} TIMEOUT ${timeout})
endfunction()

function(ph_room folder)
  cmake_parse_arguments(ARG "" "" "DEPS;PRIVATE_DEPS;TEST_DEPS" ${ARGN})
  string(REPLACE "/" "_" target "ph_${folder}")
  set(dir ${CMAKE_SOURCE_DIR}/src/${folder})
  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.cpp)
  if(NOT folder STREQUAL "device") # device/<name> are rooms of their own
    file(GLOB inner CONFIGURE_DEPENDS ${dir}/kernels/*.cpp ${dir}/passes/*.cpp
         ${dir}/learn/*.cpp ${dir}/learn/kernels/*.cpp)
    list(APPEND sources ${inner})
  endif()
  set(tests ${sources})
  set(slow_tests ${sources})
  list(FILTER slow_tests INCLUDE REGEX "_slow_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests EXCLUDE REGEX "_slow_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_(test|bench|main)\\.cpp$")
  ph_isa_flags(${sources})
  if(sources)
    add_library(${target} STATIC ${sources})
    target_link_libraries(${target} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
    target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  else() # headers only
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE ${ARG_DEPS})
    target_include_directories(${target} INTERFACE ${CMAKE_SOURCE_DIR}/src)
  endif()
  if(PRONGHORN_TESTS AND tests)
    ph_test(${target}_test unit 120 SOURCES ${tests} DEPS ${target} ${ARG_PRIVATE_DEPS}
            ${ARG_TEST_DEPS})
  endif()
  if(PRONGHORN_TESTS AND slow_tests)
    ph_test(${target}_slow_test slow 900 SOURCES ${slow_tests} DEPS ${target} ${ARG_PRIVATE_DEPS}
            ${ARG_TEST_DEPS})
  endif()
endfunction()
