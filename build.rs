//! Gives the shared library its soname, so that programs linked against it ask for
//! `libunotify.so.0` whatever the full version is. And keeps it loaded once it is: the signal handler
//! that the first run installs must outlast `dlclose`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libunotify.so.0");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
