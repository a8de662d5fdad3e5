#ifndef TENON_SPLIT_QUERIES
#define TENON_SPLIT_QUERIES

include "mlir/Pass/PassBase.td"

def SplitQueries : Pass<"split-queries", "::mlir::ModuleOp"> {
  let summary = "Makes of a function for any number of queries one for many and one for few";
  let description = [{
        @attention {attention.any_queries}  =>  @attention, @attention_few {attention.few_queries}

    Both become kernels of one image. They share its arguments, and a launch runs those of its length: what was
    compiled, or built ahead of time, serves prefill and decoding alike. A function whose class is known is left as
    it is.
  }];
}

#endif
