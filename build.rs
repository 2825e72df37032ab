//! Tells the worker's linker where an installation keeps llama.cpp's libraries.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Beside each other below any prefix: libexec/jouled/jouled-worker, lib/jouled/*.so. In a
    // build tree cargo leaves the libraries beside the worker.
    if std::env::var_os("CARGO_FEATURE_DYNAMIC_BACKENDS").is_some() {
        for place in ["$ORIGIN/../../lib/jouled", "$ORIGIN"] {
            println!("cargo:rustc-link-arg-bin=jouled-worker=-Wl,-rpath,{place}");
        }
    }
}
