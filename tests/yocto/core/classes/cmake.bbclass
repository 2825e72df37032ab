DEPENDS:prepend = "cmake-native "
B = "${WORKDIR}/build"

cmake_do_generate_toolchain_file() {
    :
}

cmake_do_configure() {
    :
}

cmake_do_compile() {
    :
}

EXPORT_FUNCTIONS do_configure do_compile do_generate_toolchain_file
