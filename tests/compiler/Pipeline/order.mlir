// A pass that comes too early names all that must run before it; one that comes too late says so too.
// RUN: not tenon-opt %s --tenon-stage-shared-memory 2>&1 | FileCheck %s --check-prefix=STAGE
// RUN: not tenon-opt %s --tenon-lower-tile-to-nvvm 2>&1 | FileCheck %s --check-prefix=NVVM
// RUN: not tenon-opt %s --tenon-lower-tile-to-vector 2>&1 | FileCheck %s --check-prefix=VECTOR
// RUN: not tenon-opt %s --tenon-expand-math 2>&1 | FileCheck %s --check-prefix=MATH
// RUN: tenon-opt %s --fuse-attention --choose-schedule=target=sm_80 --tile-attention -o %t.tiles
// RUN: not tenon-opt %t.tiles --tile-attention 2>&1 | FileCheck %s --check-prefix=AGAIN
// RUN: not tenon-opt %t.tiles --fuse-attention 2>&1 | FileCheck %s --check-prefix=LATE
// RUN: not tenon-opt %t.tiles --tenon-expand-math 2>&1 | FileCheck %s --check-prefix=TILES
// RUN: not tenon-opt %t.tiles --tenon-assign-layouts 2>&1 | FileCheck %s --check-prefix=LAYOUTS
// RUN: not tenon-opt %t.tiles --tenon-stage-shared-memory --tenon-stage-shared-memory 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: not tenon-opt %t.tiles --tenon-stage-shared-memory --tenon-lower-tile-to-nvvm 2>&1 | FileCheck %s --check-prefix=NO-LAYOUT
// RUN: tenon-opt %t.tiles --tenon-stage-shared-memory --tenon-assign-layouts -o %t.layouts
// RUN: not tenon-opt %t.layouts --tenon-assign-layouts 2>&1 | FileCheck %s --check-prefix=LAYOUTS-TWICE
// RUN: not tenon-opt %t.layouts --tenon-lower-tile-to-nvvm --tenon-lower-tile-to-nvvm 2>&1 | FileCheck %s --check-prefix=LOWERED

// STAGE: tenon-stage-shared-memory finds a graph of attention operations: run fuse-attention, choose-schedule and tile-attention before it
// NVVM: tenon-lower-tile-to-nvvm finds a graph{{.*}}: run fuse-attention, {{.*}}, tenon-stage-shared-memory and tenon-assign-layouts before it
// VECTOR: tenon-lower-tile-to-vector finds a graph{{.*}}: run fuse-attention, choose-schedule and tile-attention before it
// MATH: tenon-expand-math finds a graph{{.*}}: run fuse-attention, choose-schedule and tile-attention, then tenon-lower-tile-to-vector before it
// AGAIN: tile-attention finds a kernel whose tiles are not staged: it has run already
// LATE: fuse-attention finds a kernel{{.*}}: tile-attention must not run before it
// TILES: tenon-expand-math finds a kernel{{.*}}: run tenon-lower-tile-to-vector before it
// LAYOUTS: tenon-assign-layouts finds a kernel{{.*}}: run tenon-stage-shared-memory before it
// TWICE: tenon-stage-shared-memory finds a kernel with tiles in shared memory: it has run already
// NO-LAYOUT: tenon-lower-tile-to-nvvm finds a kernel with tiles in shared memory: run tenon-assign-layouts before it
// LAYOUTS-TWICE: tenon-assign-layouts finds a kernel with layouts: it has run already
// LOWERED: tenon-lower-tile-to-nvvm finds no function that is marked tile.kernel
func.func @plain(%query: tensor<*xf32> {attention.width = 16 : i32}, %key: tensor<*xf32> {attention.width = 16 : i32},
                 %value: tensor<*xf32> {attention.width = 16 : i32}) -> tensor<*xf32> {
  %0 = attention.transpose %key : tensor<*xf32>
  %1 = attention.matmul %query, %0 : tensor<*xf32>
  %2 = attention.softmax %1 : tensor<*xf32>
  %3 = attention.matmul %2, %value : tensor<*xf32>
  return %3 : tensor<*xf32>
}
