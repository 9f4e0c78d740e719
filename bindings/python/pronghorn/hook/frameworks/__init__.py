# SPDX-License-Identifier: Apache-2.0
"""One module a framework: what is replaced in it (docs/zero_change.md)."""
