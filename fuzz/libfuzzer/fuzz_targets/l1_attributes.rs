//! Runs [`millrace_fuzz::l1_attributes`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    millrace_fuzz::l1_attributes(data);
});

#[cfg(not(fuzzing))]
fn main() {
    panic!("build this with cargo-fuzz; see fuzz/README.md");
}
