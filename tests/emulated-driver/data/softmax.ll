; softmax of rows of 128 elements, one warp a row: for the emulator's tests.
; softmax.ptx is made of this by: llc-22 -O3 -mtriple=nvptx64-nvidia-cuda -mcpu=sm_80 -mattr=+ptx80 softmax.ll -o softmax.ptx
target triple = "nvptx64-nvidia-cuda"

declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
declare float @llvm.nvvm.shfl.sync.bfly.f32(i32, float, i32, i32)
declare float @llvm.nvvm.ex2.approx.ftz.f32(float)
declare float @llvm.maxnum.f32(float, float)

define ptx_kernel void @softmax(ptr addrspace(1) %out, ptr addrspace(1) %in, float %scale) {
entry:
  %lane = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %row = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %start = shl i32 %row, 7
  %offset = shl i32 %lane, 2
  %index = add i32 %start, %offset
  %index64 = zext i32 %index to i64
  %from = getelementptr float, ptr addrspace(1) %in, i64 %index64
  %x = load <4 x float>, ptr addrspace(1) %from, align 16
  %s = insertelement <4 x float> poison, float %scale, i32 0
  %scales = shufflevector <4 x float> %s, <4 x float> poison, <4 x i32> zeroinitializer
  %y = fmul <4 x float> %x, %scales
  %y0 = extractelement <4 x float> %y, i32 0
  %y1 = extractelement <4 x float> %y, i32 1
  %y2 = extractelement <4 x float> %y, i32 2
  %y3 = extractelement <4 x float> %y, i32 3
  %m01 = call float @llvm.maxnum.f32(float %y0, float %y1)
  %m23 = call float @llvm.maxnum.f32(float %y2, float %y3)
  %m = call float @llvm.maxnum.f32(float %m01, float %m23)
  br label %maximum

maximum:
  %step = phi i32 [ 16, %entry ], [ %step.next, %maximum ]
  %most = phi float [ %m, %entry ], [ %most.next, %maximum ]
  %other = call float @llvm.nvvm.shfl.sync.bfly.f32(i32 -1, float %most, i32 %step, i32 31)
  %most.next = call float @llvm.maxnum.f32(float %most, float %other)
  %step.next = lshr i32 %step, 1
  %more = icmp ne i32 %step.next, 0
  br i1 %more, label %maximum, label %exponentials

exponentials:
  %d0 = fsub float %y0, %most.next
  %d1 = fsub float %y1, %most.next
  %d2 = fsub float %y2, %most.next
  %d3 = fsub float %y3, %most.next
  %e0 = call float @llvm.nvvm.ex2.approx.ftz.f32(float %d0)
  %e1 = call float @llvm.nvvm.ex2.approx.ftz.f32(float %d1)
  %e2 = call float @llvm.nvvm.ex2.approx.ftz.f32(float %d2)
  %e3 = call float @llvm.nvvm.ex2.approx.ftz.f32(float %d3)
  %s01 = fadd float %e0, %e1
  %s23 = fadd float %e2, %e3
  %sum0 = fadd float %s01, %s23
  br label %total

total:
  %step2 = phi i32 [ 16, %exponentials ], [ %step2.next, %total ]
  %sum = phi float [ %sum0, %exponentials ], [ %sum.next, %total ]
  %other2 = call float @llvm.nvvm.shfl.sync.bfly.f32(i32 -1, float %sum, i32 %step2, i32 31)
  %sum.next = fadd float %sum, %other2
  %step2.next = lshr i32 %step2, 1
  %more2 = icmp ne i32 %step2.next, 0
  br i1 %more2, label %total, label %store

store:
  %inverse = fdiv float 1.0, %sum.next
  %r0 = fmul float %e0, %inverse
  %r1 = fmul float %e1, %inverse
  %r2 = fmul float %e2, %inverse
  %r3 = fmul float %e3, %inverse
  %v0 = insertelement <4 x float> poison, float %r0, i32 0
  %v1 = insertelement <4 x float> %v0, float %r1, i32 1
  %v2 = insertelement <4 x float> %v1, float %r2, i32 2
  %v3 = insertelement <4 x float> %v2, float %r3, i32 3
  %to = getelementptr float, ptr addrspace(1) %out, i64 %index64
  store <4 x float> %v3, ptr addrspace(1) %to, align 16
  ret void
}
