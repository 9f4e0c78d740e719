# SPDX-License-Identifier: Apache-2.0
# Writes OUT, a header with the commit that is being built, and touches it only when it changed.
execute_process(
  COMMAND git describe --always --dirty --abbrev=12 --exclude=*
  WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE
  ERROR_QUIET RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  set(commit "")
endif()
set(text "#pragma once\nnamespace pronghorn::bench {\ninline constexpr char kCommit[] = \"${commit}\";\n}\n")
set(old "")
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUT} "${text}")
endif()
