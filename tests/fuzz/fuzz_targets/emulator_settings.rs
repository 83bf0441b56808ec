#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imds_conformance::fuzz::emulator_settings(bytes));
