# nooelint: oelint.var.mandatoryvar.HOMEPAGE,oelint.var.suggestedvar.BUGTRACKER,oelint.var.bbclassextend - no public address yet; a daemon is for the target alone
SUMMARY = "Measures the energy of every token that a language model generates"
DESCRIPTION = "A daemon that reads power sensors, runs queued language-model jobs with \
               llama.cpp and publishes the energy of every token over MQTT."

# Before cargo, which jouled.inc inherits: of two classes with a do_compile the last one's runs,
# and of cmake only the toolchain file is wanted, for llama.cpp.
inherit cmake pkgconfig systemd useradd

require jouled.inc

# meta-tegra's class, where PACKAGECONFIG wants it.
JOULED_CUDA_CLASS = "${@bb.utils.filter('PACKAGECONFIG', 'cuda', d)}"
inherit_defer ${JOULED_CUDA_CLASS}

CARGO_BUILD_FLAGS:append = " --bin jouled --bin jouled-power"

# An image is for one machine, so llama.cpp is compiled for that machine's tune and linked
# into the worker. dynamic-backends is for package feeds with a generic tune: kernels for
# each generation of CPUs, chosen when the worker starts. A GPU's backend is a library beside
# those, so that a worker starts where the driver is missing.
PACKAGECONFIG ??= "llama tui"
PACKAGECONFIG[llama] = "--features llama --bin jouled-worker,,clang-native"
PACKAGECONFIG[dynamic-backends] = "--features dynamic-backends"
PACKAGECONFIG[cuda] = "--features cuda --features dynamic-backends"
PACKAGECONFIG[vulkan] = "--features vulkan --features dynamic-backends,,shaderc-native spirv-headers vulkan-headers vulkan-loader"
PACKAGECONFIG[tui] = "--features tui"
# joulectl has a recipe of its own; this brings it along.
PACKAGECONFIG[lab] = ",,,joulectl"

JOULED_BACKENDS = "${@bb.utils.contains_any('PACKAGECONFIG', 'cuda dynamic-backends vulkan', '1', '', d)}"

# bindgen reads llama.cpp's headers as the target's compiler would.
export LIBCLANG_PATH = "${STAGING_LIBDIR_NATIVE}"
export BINDGEN_EXTRA_CLANG_ARGS = "${HOST_CC_ARCH}${TOOLCHAIN_OPTIONS} --target=${TARGET_SYS}"

# The build script of llama-cpp-sys-2 passes CMAKE_* and GGML_* on to cmake, with compiler flags
# of its own from which every -O is taken. So the tune comes with cargo's compiler wrappers, and
# the optimisation with the build type.
export CMAKE_TOOLCHAIN_FILE = "${WORKDIR}/toolchain.cmake"
export LLAMA_LIB_PROFILE = "Release"
OECMAKE_GENERATOR = "Unix Makefiles"
OECMAKE_C_COMPILER = "${RUST_TARGET_CC}"
OECMAKE_CXX_COMPILER = "${RUST_TARGET_CXX}"
OECMAKE_C_COMPILER_LAUNCHER = ""
OECMAKE_CXX_COMPILER_LAUNCHER = ""
OECMAKE_C_FLAGS_RELEASE = "-O3 -DNDEBUG"
OECMAKE_CXX_FLAGS_RELEASE = "-O3 -DNDEBUG"
# llama.cpp's libraries find each other, under names without a version.
export CMAKE_PLATFORM_NO_VERSIONED_SONAME = "ON"
OECMAKE_RPATH = "${nonarch_libdir}/jouled"

# -march for llama.cpp alone, on machines whose tune says less than their CPU can do.
JOULED_ARM_ARCH ?= ""
# nooelint: oelint.vars.specific - the Orins, as meta-tegra calls them
JOULED_ARM_ARCH:tegra234 ?= "armv8.2-a+dotprod+fp16"

# Without a word the build script sets plain armv8-a on the command line, below the tune.
cmake_do_generate_toolchain_file:append() {
    arch="${JOULED_ARM_ARCH}"
    if [ -n "${JOULED_BACKENDS}" ]; then
        arch=""
    fi
    echo "set( GGML_CPU_ARM_ARCH \"$arch\" CACHE STRING \"\" FORCE )" >> ${WORKDIR}/toolchain.cmake
}

# On x86 ggml takes AVX2 for granted; the tune knows better. What Rust's target has is set
# again by the build script.
export GGML_AVX = "OFF"
export GGML_AVX2 = "OFF"
export GGML_BMI2 = "OFF"
export GGML_F16C = "OFF"
export GGML_FMA = "OFF"
export GGML_SSE42 = "OFF"

# The program that compiles Vulkan's shaders runs on the machine that builds.
export GGML_VULKAN_SHADERS_GEN_TOOLCHAIN = "${WORKDIR}/toolchain-native.cmake"

do_install() {
    built="${B}/target/${CARGO_TARGET_SUBDIR}"
    install -D -m 0755 $built/jouled ${D}${bindir}/jouled
    install -D -m 0755 $built/jouled-power ${D}${libexecdir}/jouled/jouled-power
    if ${@bb.utils.contains('PACKAGECONFIG', 'llama', 'true', 'false', d)}; then
        install -D -m 0755 $built/jouled-worker ${D}${libexecdir}/jouled/jouled-worker
    fi
    if [ -n "${JOULED_BACKENDS}" ]; then
        install -d ${D}${nonarch_libdir}/jouled
        # Each library once, under the name that it is asked for.
        for library in $built/build/llama-cpp-sys-2-*/out/lib*/lib*.so*; do
            soname=$(${READELF} -d $library | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
            install -m 0755 $library ${D}${nonarch_libdir}/jouled/$soname
        done
        install -m 0755 $built/build/llama-cpp-sys-2-*/out/backends/*.so ${D}${nonarch_libdir}/jouled
    fi

    install -D -m 0644 ${S}/systemd/jouled.service ${D}${systemd_system_unitdir}/jouled.service
    install -m 0644 ${S}/systemd/jouled-power.service ${S}/systemd/jouled-power.socket ${D}${systemd_system_unitdir}
    if ${@bb.utils.contains_any('PACKAGECONFIG', 'cuda vulkan', 'true', 'false', d)}; then
        install -D -m 0644 ${S}/systemd/gpu.conf ${D}${systemd_system_unitdir}/jouled.service.d/gpu.conf
    fi
    install -D -m 0644 ${S}/systemd/sysusers.d/jouled.conf ${D}${nonarch_libdir}/sysusers.d/jouled.conf
    install -D -m 0644 ${S}/systemd/tmpfiles.d/jouled.conf ${D}${nonarch_libdir}/tmpfiles.d/jouled.conf
    install -D -m 0644 ${S}/systemd/udev/60-jouled.rules ${D}${nonarch_base_libdir}/udev/rules.d/60-jouled.rules

    install -d -m 0750 ${D}${sysconfdir}/jouled ${D}${sysconfdir}/jouled/conf.d
    install -m 0640 ${S}/systemd/jouled.toml ${D}${sysconfdir}/jouled/jouled.toml
    chown -R root:jouled ${D}${sysconfdir}/jouled

    install -d ${D}${docdir}/jouled/examples/mosquitto
    install -m 0644 ${S}/systemd/gpu.conf ${S}/systemd/udev/rapl.rules ${D}${docdir}/jouled/examples
    install -m 0644 ${S}/deploy/mosquitto/jouled.* ${D}${docdir}/jouled/examples/mosquitto
    for section in 5 8; do
        install -d ${D}${mandir}/man$section
        install -m 0644 ${S}/man/jouled*.$section ${D}${mandir}/man$section
    done
    install -D -m 0644 ${S}/completions/jouled.bash ${D}${datadir}/bash-completion/completions/jouled
    install -D -m 0644 ${S}/completions/_jouled ${D}${datadir}/zsh/site-functions/_jouled
    install -D -m 0644 ${S}/completions/jouled.fish ${D}${datadir}/fish/vendor_completions.d/jouled.fish
}

FILES:${PN} += "\
    ${nonarch_base_libdir}/udev/rules.d/60-jouled.rules \
    ${nonarch_libdir}/jouled \
    ${nonarch_libdir}/sysusers.d/jouled.conf \
    ${nonarch_libdir}/tmpfiles.d/jouled.conf \
    ${systemd_system_unitdir}/jouled.service.d \
"
CONFFILES:${PN} = "${sysconfdir}/jouled/jouled.toml"

# The one part that runs as root, for images whose jobs run in power modes of their own
# (docs/power-modes.md): IMAGE_INSTALL:append = " jouled-power".
PACKAGE_BEFORE_PN += "${PN}-power"
FILES:${PN}-power += "${libexecdir}/jouled/jouled-power"
RDEPENDS:${PN}-power = "${PN}"

SYSTEMD_PACKAGES = "${PN} ${PN}-power"
SYSTEMD_SERVICE:${PN} = "jouled.service"
SYSTEMD_SERVICE:${PN}-power = "jouled-power.service jouled-power.socket"

# As sysusers.d/jouled.conf has them: made when the image is built, so that a read-only root
# has them too. Groups that base-passwd has already are left as they are.
USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system i2c; --system gpio; --system dialout; --system video; --system render; --system jouled"
USERADD_PARAM:${PN} = "--system --gid jouled --groups i2c,dialout,video,render --home-dir ${localstatedir}/lib/jouled --no-create-home --shell ${base_sbindir}/nologin --comment jouled jouled"

# llama.cpp keeps the folder that its backends were built in as text. The worker loads them
# from the installation alone.
# nooelint: oelint.vars.insaneskip - the reason is above
INSANE_SKIP:${PN} += "${@'buildpaths' if d.getVar('JOULED_BACKENDS') else ''}"
