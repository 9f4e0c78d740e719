# SPDX-License-Identifier: Apache-2.0
# Packages the overlay as a Vitis RTL kernel: vivado -mode batch -source package.tcl -tclargs PART CONFIG OUT
# (rtl/kernel/build.sh calls it). Written after UG1393; not run here, for want of the tool.
lassign $argv part config out
set root [file normalize [file dirname [info script]]/../..]
create_project -force pronghorn $out/project -part $part
exec python3 $root/rtl/tools/configs.py --sv $config $out/pronghorn_pkg.sv
add_files [list $out/pronghorn_pkg.sv $root/rtl/src/pronghorn_types.sv]
add_files [glob $root/rtl/src/*.sv]
set headers [glob $root/rtl/src/*.svh]
add_files $headers
set_property file_type {Verilog Header} [get_files $headers]
set_property include_dirs $root/rtl/src [current_fileset]
add_files $root/rtl/kernel/pronghorn_kernel.sv
set_property top pronghorn_kernel [current_fileset]
update_compile_order -fileset sources_1
ipx::package_project -root_dir $out/ip -vendor pronghorn -library kernel -taxonomy /KernelIP -import_files -set_current true
set core [ipx::current_core]
set_property name pronghorn $core
set_property sdx_kernel true $core
set_property sdx_kernel_type rtl $core
ipx::associate_bus_interfaces -busif m_axi_gmem -clock ap_clk $core
ipx::associate_bus_interfaces -busif s_axi_control -clock ap_clk $core
ipx::update_checksums $core
ipx::save_core $core
package_xo -force -xo_path $out/pronghorn.xo -kernel_name pronghorn -ip_directory $out/ip \
  -kernel_xml $root/rtl/kernel/kernel.xml
