#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether the module benches find faults: plants one at a time in a copy of rtl/src and runs the bench that should fail.

  rtl/tools/mutants.py FOLDER OUT.json [BENCH...]

FOLDER gets the copies and the builds (by Verilator itself, without CMake). BENCH: some of the benches below; what OUT.json has of
others stays. Ends with 1 if a fault is not found. A bench that does not end within its limit has found the fault too.
"""
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "rtl/tools"))
import configs  # noqa: E402
LIMIT_S = 300
VECTORS = str(ROOT / "tests/vectors")
# bench -> its top and program (rtl/tb), macros of the program, arguments
BENCHES = {"vector": ("vector_path", "vector", ["BENCH_IC=8", "BENCH_PX=4"], ["add", VECTORS, "500"]),
           "pool": ("vector_path", "vector", ["BENCH_IC=8", "BENCH_PX=4"], ["pool", "300"]),
           "streams": ("streams", "streams", [], ["60"]),
           "control": ("control", "control", [], ["60"])}
# (file of rtl/src, what stands there, what is put there, the fault in words)
FAULTS = {
    "vector": [
        ("zero_product.sv", "minus_z1_q <= -9'($signed(z_i))", "minus_z1_q <= -9'($signed({1'b0, z_i}))",
         "the residual's zero point taken as unsigned"),
        ("residual_value.sv", "{26'd0, drop5_q[l][7:1], odd5_q[l]}", "{26'd0, drop5_q[l][7:1], 1'b1}",
         "a tie of the residual's product rounded up instead of to even"),
        ("lanes.sv", "assign res[p*8+:8] = res_i[(p*IC+i)*8+:8];", "assign res[p*8+:8] = res_i[i*8+:8];",
         "every pixel gets the first pixel's residual"),
        ("zero_product.sv", "m1_q       <= use_i ? {1'b1, m_i[22:0]} : '0;", "m1_q       <= {1'b1, m_i[22:0]};",
         "the residual added where there is none"),
    ],
    "pool": [
        ("vector_unit.sv", "$signed(x_i[b*8+:8]) > $signed(largest_q[b*8+:8])", "x_i[b*8+:8] > largest_q[b*8+:8]",
         "maxima of unsigned bytes"),
        ("vector_unit.sv", "if (step_i && (first_i ||", "if ((first_i ||", "bytes between the steps counted in the maximum"),
        ("vector_unit.sv", "(first4 ? 20'd0 : sum_q[i*20+:20])", "sum_q[i*20+:20]",
         "the sum of the tile before kept"),
        ("vector_unit.sv", "automatic logic signed [9:0] sum;", "automatic logic signed [8:0] sum;",
         "a sum of four bytes in nine bits"),
    ],
    "streams": [
        ("axi_reader.sv", "edge_q <= 5'd16 - {1'b0, address_q[Shift+:4]};", "edge_q <= 5'd16;",
         "bursts that cross 4 KiB"),
        ("axi_reader.sv", "assign rready_o = !spare_valid_q;", "assign rready_o = 1'b1;",
         "a beat lost under back-pressure"),
        ("loader.sv", "16'(stores_done_i - pending_q[1][47:32]) < 16'h8000", "1'b1", "a load that does not wait for stores"),
        ("image_spreader.sv", "write_o.mask[l] <= 16'(l) < left_q;", "write_o.mask[l] <= 1'b1;",
         "pixels past a row's end written"),
        ("storer.sv", "wait_q  <= 3'(ReadLatency - 1);", "wait_q  <= 3'(ReadLatency - 2);", "a row read a cycle early"),
    ],
    "control": [
        ("registers.sv", "assign mask[b*8+:8] = {8{wstrb_i[b]}};", "assign mask[b*8+:8] = {8{wstrb_i[0]}};",
         "one strobe for all bytes"),
        ("registers.sv", "if (wstrb_i[0] && wdata_i[0]) isr_q <= 1'b0;", "if (wstrb_i[0]) isr_q <= 1'b0;",
         "the interrupt cleared by writing 0"),
        ("registers.sv", "wdata_i[0] && wstrb_i[0] && !busy_i", "wdata_i[0] && wstrb_i[0]", "a start while busy"),
        ("dispatch.sv", "end else if (ready_q[engine]) begin", "end else begin", "a command for an engine that is not ready"),
        ("dispatch.sv", "if (read_error_i && error_o == 0) error_o <= 3'd2;", "", "a read error not told"),
    ],
}


def build(folder, bench):
    """The bench's program over folder/src."""
    top, program, macros, _ = BENCHES[bench]
    flags = ["-std=c++20", "-O0", f"-I{ROOT}/rtl/tb", f"-I{ROOT}/src", f"-I{folder}", "-DBENCH_CONFIG=\\\"tiny\\\"",
             *(f"-D{m}" for m in macros)]
    command = ["verilator", "--cc", "--exe", "--build", "-j", "2", "--assert", "-Wno-fatal", "-Wno-lint", "--unroll-count", "4",
               "--x-assign", "fast", "--x-initial", "fast", "--prefix", f"V{top}", "--top-module", top, "-o", bench,
               "-Mdir", str(folder / "build" / bench), "-CFLAGS", " ".join(flags), "-y", str(folder / "src"),
               str(folder / "pronghorn_pkg.sv"), str(folder / "src/pronghorn_types.sv"), str(ROOT / f"rtl/tb/{top}.sv"),
               str(ROOT / f"rtl/tb/{program}_tb.cpp")]
    (folder / "build" / bench).mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"mutants.py: {bench} does not build\n{done.stderr[-2000:]}")
    return folder / "build" / bench / bench


def fails(program, bench):
    try:
        return subprocess.run([program, *BENCHES[bench][3]], capture_output=True, timeout=LIMIT_S).returncode != 0
    except subprocess.TimeoutExpired:
        return True


def write(out, report):
    found = [row["found"] for rows in report.values() for row in rows]
    document = {"schema": 1, "command": f"rtl/tools/mutants.py FOLDER {out.name}", "planted": len(found),
                "found": sum(found), "benches": report}
    temporary = out.with_suffix(".part")
    temporary.write_text(json.dumps(document, indent=1) + "\n")
    temporary.rename(out)


def main():
    if len(sys.argv) < 3 or any(b not in FAULTS for b in sys.argv[3:]):
        sys.exit(f"{__doc__}benches: {' '.join(FAULTS)}")
    folder, out, benches = Path(sys.argv[1]).resolve(), Path(sys.argv[2]), sys.argv[3:] or list(FAULTS)
    folder.mkdir(parents=True, exist_ok=True)
    document = configs.load()
    (folder / "pronghorn_pkg.sv").write_text(configs.sv(document, "tiny"))
    (folder / "fpga_configurations.h").write_text(configs.cpp(document))
    shutil.copytree(ROOT / "rtl/src", folder / "src", dirs_exist_ok=True)
    report = json.loads(out.read_text())["benches"] if out.exists() else {}
    for bench in benches:
        if fails(build(folder, bench), bench):
            sys.exit(f"mutants.py: {bench} fails without a fault")
        rows = []
        for name, old, new, words in FAULTS[bench]:
            path = folder / "src" / name
            text = path.read_text()
            if text.count(old) != 1:
                sys.exit(f"mutants.py: {name} does not hold once: {old}")
            path.write_text(text.replace(old, new))
            found = fails(build(folder, bench), bench)
            path.write_text(text)
            rows.append({"module": name.removesuffix(".sv"), "fault": words, "found": found})
            print(f"{bench}: {'found ' if found else 'MISSED'} {name}: {words}", flush=True)
        report[bench] = rows
        write(out, report)
    return 0 if all(row["found"] for rows in report.values() for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
