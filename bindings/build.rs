//! Generates the scaffolding of the interface in `src/interocitor.udl`.

fn main() {
    if let Err(error) = uniffi::generate_scaffolding("src/interocitor.udl") {
        println!("cargo::error={error:#}");
    }
}
