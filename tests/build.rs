//! Builds the suite again when a built-in scenario or program was added: the macro that embeds their
//! folders notices only changes of files that it has embedded.

fn main() {
    for folder in ["scenarios", "programs"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
