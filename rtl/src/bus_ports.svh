// SPDX-License-Identifier: Apache-2.0
// The overlay's bus ports, named as Vitis wants them. Included last in the port lists of pronghorn.sv,
// kernel/pronghorn_kernel.sv and tb/control.sv; tb/streams.sv has those of the memory alone.
`include "control_ports.svh"
`include "memory_ports.svh"
