//! Runs [`millrace_fuzz::data_size`] under libFuzzer.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    millrace_fuzz::data_size(data);
});

#[cfg(not(fuzzing))]
fn main() {
    panic!("build this with cargo-fuzz; see fuzz/README.md");
}
