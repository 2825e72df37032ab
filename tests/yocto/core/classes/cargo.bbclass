RUST_HOST_SYS = "aarch64-oe-linux-gnu"
RUST_TARGET_CC = "${WORKDIR}/wrapper/target-rust-cc"
RUST_TARGET_CXX = "${WORKDIR}/wrapper/target-rust-cxx"
B = "${WORKDIR}/build"
CARGO_TARGET_SUBDIR = "${RUST_HOST_SYS}/release"
CARGO_MANIFEST_PATH ??= "${S}/Cargo.toml"
CARGO_BUILD_FLAGS = "-v --frozen --target ${RUST_HOST_SYS} --release --manifest-path=${CARGO_MANIFEST_PATH}"
DEPENDS:append = " cargo-native rust-native"

# What the class runs: PACKAGECONFIG's arguments are its own since styhead.
STAND_IN_CARGO = "${CARGO_BUILD_FLAGS} ${@'' if d.getVar('LAYERSERIES_CORENAMES') == 'scarthgap' else d.getVar('PACKAGECONFIG_CONFARGS')}"

cargo_do_configure() {
    :
}

cargo_do_compile() {
    :
}

EXPORT_FUNCTIONS do_configure do_compile
