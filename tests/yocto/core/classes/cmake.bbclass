DEPENDS:prepend = "cmake-native "
B = "${WORKDIR}/build"

cmake_do_generate_toolchain_file() {
    :
}
