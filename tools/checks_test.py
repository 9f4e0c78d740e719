#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every check accepts what it should and can fail: each rule is broken once."""
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import check_exports  # noqa: E402
import check_files  # noqa: E402
import check_kernel_objects  # noqa: E402
import check_layers  # noqa: E402


class Folder(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def compile(self, source):
        subprocess.run(["g++", "-std=c++20", "-O1", "-fPIC", "-c", str(source), "-o",
                        str(source) + ".o"], check=True)


class Layers(Folder):
    def setUp(self):
        super().setUp()
        self.write("tools/cmake/room.cmake", "set(PH_ISA_FLAGS_avx2 -mavx2)\n")
        self.write("include/pronghorn/pronghorn.h", "#include <stdint.h>\n")
        self.write("src/base/error.h", "#include <string>\n")
        self.write("src/graph/graph.h", '#include "base/error.h"\n')
        self.write("src/device/device.h", '#include "graph/graph.h"\n')
        self.write("src/device/cpu/kernels/table.h", "#include <cstdint>\n")
        self.write("src/image/image.h", '#include "base/error.h"\n')

    def expect(self, *parts):
        problems = check_layers.check(self.root)
        if not parts:
            self.assertEqual(problems, [])
            return
        self.assertEqual(len(problems), 1, problems)
        for part in parts:
            self.assertIn(part, problems[0])

    def test_accepts_arrows(self):
        self.write("src/device/cpu/cpu.cpp", '#include "device/device.h"\n#include <vector>\n')
        self.write("src/device/cpu/kernels/dot_avx2.cpp",
                   '#include <immintrin.h>\n#include "device/cpu/kernels/table.h"\n')
        self.write("src/image/image.cpp", '#include <jpeglib.h>\n#include "image/image.h"\n')
        self.expect()

    def test_refuses_an_arrow_backwards(self):
        self.write("src/base/error.cpp", '#include "graph/graph.h"\n')
        self.expect("src/base/error.cpp", "graph/graph.h", "base may include")

    def test_refuses_a_sideways_arrow(self):
        self.write("src/image/x.cpp", '#include "device/device.h"\n')
        self.expect("image may include")

    def test_refuses_one_device_in_another(self):
        self.write("src/device/reference/reference.h", "\n")
        self.write("src/device/cpu/x.cpp", '#include "device/reference/reference.h"\n')
        self.expect("device/cpu may include")

    def test_lets_a_test_use_the_judge(self):
        self.write("src/device/reference/reference.h", "\n")
        self.write("src/device/cpu/x_test.cpp", '#include "device/reference/reference.h"\n')
        self.expect()

    def test_refuses_a_test_that_looks_up(self):
        self.write("src/base/x_test.cpp", '#include "graph/graph.h"\n')
        self.expect("base may include")

    def test_keeps_programs_behind_the_door(self):
        self.write("apps/cli/main.cpp", '#include "image/image.h"\n')
        self.expect("apps may include")

    def test_keeps_libraries_in_their_room(self):
        self.write("src/graph/x.cpp", "#include <jpeglib.h>\n")
        self.expect("jpeglib.h", "only image")

    def test_keeps_intrinsics_in_kernels(self):
        self.write("src/device/cpu/plan.cpp", "#include <immintrin.h>\n")
        self.expect("immintrin.h", "suffix")

    def test_keeps_kernels_free_of_headers(self):
        self.write("src/device/cpu/kernels/dot_avx2.cpp", "#include <vector>\n")
        self.expect("dot_avx2.cpp", "vector", "kernel file")

    def test_refuses_an_unknown_room(self):
        self.write("src/utils/x.h", "\n")
        self.expect("src/utils/x.h", "no room")


class Exports(Folder):
    HEADER = "PH_API void ph_one(void); /* PH_API int ph_not(void); */\n"

    def library(self, code):
        source = self.write("x.cpp", code)
        library = self.root / "x.so"
        subprocess.run(["g++", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
        header = self.write("x.h", self.HEADER + "PH_API const char*\n    ph_two(int a);\n")
        return check_exports.compare(check_exports.declared([header]),
                                     check_exports.exported(library))

    GOOD = 'extern "C" void ph_one() {} extern "C" const char* ph_two(int) { return ""; }'

    def test_accepts_the_header(self):
        self.assertEqual(self.library(self.GOOD), [])

    def test_refuses_more(self):
        self.assertEqual(self.library(self.GOOD + "void leak() {}"),
                         ["exported, but no function of the header: _Z4leakv"])

    def test_refuses_less(self):
        self.assertEqual(self.library('extern "C" void ph_one() {}'),
                         ["declared PH_API, but not exported: ph_two"])

    def test_wants_a_comment_of_every_function(self):
        header = self.write("x.h", "/* One. */\nPH_API int ph_one(void);\nPH_API int\n  ph_two(int a);\n"
                            "PH_API int ph_three(void); /* Three. */\nPH_API int ph_four(void);\n")
        self.assertEqual(check_exports.undocumented([header]), [
            "x.h:3: ph_two has no comment of its own", "x.h:6: ph_four has no comment of its own"])


class KernelObjects(Folder):
    GOOD = ("namespace { int f(int x) { return x + 1; } }\n"
            "struct K { int (*f)(int); };\nextern const K kTable;\nconst K kTable = {f};\n")

    def expect(self, code, part):
        self.compile(self.write("dot_avx2.cpp", code))
        problems, count = check_kernel_objects.check(self.root, {"avx2"})
        self.assertEqual(count, 1)
        if part is None:
            self.assertEqual(problems, [])
        else:
            self.assertTrue(any(part in p for p in problems), problems)

    def test_accepts_one_descriptor(self):
        self.expect(self.GOOD, None)

    def test_refuses_an_inline_function(self):
        self.expect(self.GOOD + "inline int g(int x) { return x * x; }\n"
                    "int (*volatile keep)(int) = g;\n", "weak symbol g")

    def test_refuses_start_up_code(self):
        self.expect(self.GOOD + "int h();\nstatic int now = h();\n", "start-up code")

    def test_refuses_calls_outside(self):
        self.expect(self.GOOD + "extern int h();\nint (*const p)() = h;\n"
                    "static int (*volatile q)() = h;\n", "needs h")

    def test_refuses_a_second_export(self):
        self.expect(self.GOOD + "int more() { return 1; }\n", "one constant descriptor")

    def test_refuses_a_variable_descriptor(self):
        self.expect("int table = 3;\n", "not constant")

    def test_refuses_an_empty_build(self):
        problems, _ = check_kernel_objects.check(self.root, {"avx2"})
        self.assertIn("build first", problems[0])


class Files(unittest.TestCase):
    LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"

    def expect(self, name, text, part=None):
        problems = check_files.problems_of(name, text.encode())
        if part is None:
            self.assertEqual(problems, [])
        else:
            self.assertEqual(len(problems), 1, problems)
            self.assertIn(part, problems[0])

    def test_accepts(self):
        self.expect("src/a.cpp", self.LICENCE + "int a;\n")
        self.expect("README.md", "See https://example.org/{}/x and ~/.cache.\n".format("work"))

    def test_refuses_no_licence(self):
        self.expect("src/a.cpp", "int a;\n", "no 'SPDX")

    def test_refuses_a_long_file(self):
        self.expect("src/a.cpp", self.LICENCE + "int a;\n" * 800, "801 lines")

    def test_refuses_unfinished_work(self):
        self.expect("src/a.cpp", self.LICENCE + "// TO" "DO: later\n", "unfinished")

    def test_refuses_own_paths(self):
        self.expect("docs/a.md", "see /ho" "me/me/x\n", "path of one machine")
        self.expect("docs/a.md", "see /t" "mp/mine/x\n", "path of one machine")

    def test_refuses_a_large_file(self):
        self.expect("data/a.bin", "a" * 2_000_001, "2000001 bytes")
        self.expect("models/a.onnx", "a" * 2_000_001)

    def test_refuses_a_missing_last_line_end(self):
        self.expect("src/a.cpp", self.LICENCE + "int a;", "new line")


if __name__ == "__main__":
    unittest.main()
