//! Gives the shared library its soname, so that programs linked against it ask for
//! `libunotify.so.0` whatever the full version is. And keeps it loaded once it is: the signal handler
//! that the first run installs must outlast `dlclose`. And tells the code of sanitizers.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(instrumented)");
    // Cargo says so where `-Zsanitizer` is given.
    if std::env::var_os("CARGO_CFG_SANITIZE").is_some() {
        println!("cargo:rustc-cfg=instrumented");
    }
    // Only one who builds the libraries asks for this feature. The instruction for cdylibs alone is
    // for packages that are always one.
    if std::env::var_os("CARGO_FEATURE_CAPI").is_some() {
        println!("cargo:rustc-link-arg=-Wl,-soname,libunotify.so.0");
        println!("cargo:rustc-link-arg=-Wl,-z,nodelete");
    }
}
