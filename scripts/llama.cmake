# llama-cpp-sys-2 builds with its feature `common`, which llama-cpp-2 can't leave out, the library
# that llama.cpp's own tools share. The worker calls nothing in it.
set(LLAMA_BUILD_COMMON OFF CACHE BOOL "" FORCE)
# scripts/build-package: one library of kernels, for the oldest CPU.
if("$ENV{QUICK}")
  set(GGML_CPU_ALL_VARIANTS OFF CACHE BOOL "" FORCE)
endif()
