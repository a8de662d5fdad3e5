# The lit tests: one folder a pass, one behaviour a file. Run by CTest, or by hand:
#
#     lit -v build/tests/compiler
import os

import lit.formats

config.name = "Tenon"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "CMakeLists.txt"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.tenon_binary_dir, "tests", "compiler")

for folder in (config.llvm_tools_dir, config.tenon_tools_dir):
    config.environment["PATH"] = os.pathsep.join((folder, config.environment["PATH"]))

# What this build has: a test says `REQUIRES: host` where it needs it.
config.available_features.update(config.tenon_features.split())

config.substitutions.append(("%plugins", os.path.join(config.test_exec_root, "check")))
