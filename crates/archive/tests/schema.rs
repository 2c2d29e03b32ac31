//! The checked-in `src/schema.rs` is what prost makes of `arc.proto`.

use std::path::Path;

#[test]
fn the_schema_in_the_source_is_the_one_arc_proto_describes() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schema");
    std::fs::create_dir_all(&out).unwrap();
    let descriptors = protox::compile([here.join("arc.proto")], [here]).unwrap();
    let mut config = prost_build::Config::new();
    // Comments stand in arc.proto; here rustdoc would take their indented parts for code.
    config.disable_comments(["."]);
    config.out_dir(&out).compile_fds(descriptors).unwrap();
    let fresh = std::fs::read_to_string(out.join("flamearc.v1.rs")).unwrap();
    let checked_in = here.join("src/schema.rs");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&checked_in, &fresh).unwrap();
    }
    let stored = std::fs::read_to_string(&checked_in).unwrap();
    assert!(
        stored == fresh,
        "arc.proto and src/schema.rs differ: run `BLESS=1 cargo test -p archive --test schema`"
    );
}
