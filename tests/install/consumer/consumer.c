/* SPDX-License-Identifier: Apache-2.0
 * The smallest program on libpronghorn: prints the library's version. */
#include <pronghorn/pronghorn.h>
#include <stdio.h>

int main(void) {
  if (ph_abi_version() / 1000 != PH_ABI_MAJOR) return 1;
  return puts(ph_version()) < 0;
}
