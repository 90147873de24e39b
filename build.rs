//! Gives the shared library its soname, so that programs linked against it ask for
//! `libunotify.so.0` whatever the full version is.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libunotify.so.0");
}
