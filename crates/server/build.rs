//! Embeds the page: `$VESTA_UI_DIST`, else `ui/dist` when it was built, else one page that says how
//! to build it. Never runs npm.

#![expect(clippy::unnecessary_debug_formatting, reason = "paths become string literals in code")]

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const PLACEHOLDER: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Vesta</title></head><body>
<h1>Vesta runs, but was built without its page</h1>
<p>Build the page with <code>npm --prefix ui ci &amp;&amp; npm --prefix ui run build</code> and then the
server again, or run <code>cargo xtask demo</code>, which does both.</p>
<p>The <a href=\"/api/v1/openapi.json\">API</a> and the command line (<code>vesta query --help</code>)
work without it.</p>
</body></html>
";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=VESTA_UI_DIST");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/dist");
    let dist = env::var_os("VESTA_UI_DIST").map_or(own, PathBuf::from);
    // A folder that is not there makes cargo look again at every build: that is wanted.
    println!("cargo::rerun-if-changed={}", dist.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        collect(&dist.canonicalize()?, "", &mut files)?;
    } else {
        let page = out.join("placeholder.html");
        fs::write(&page, PLACEHOLDER)?;
        files.push(("/index.html".to_owned(), page));
    }
    files.sort();
    let mut code = String::from("static FILES: &[File] = &[\n");
    for (at, (path, file)) in files.iter().enumerate() {
        println!("cargo::rerun-if-changed={}", file.display());
        let bytes = fs::read(file)?;
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let packed = pack(&bytes, &out.join(format!("page{at}.gz")))?;
        let _ = writeln!(
            code,
            "    File {{ path: {path:?}, etag: \"\\\"{:016x}\\\"\", plain: include_bytes!({file:?}), \
             gzip: {packed} }},",
            hasher.finish()
        );
    }
    code.push_str("];\n");
    fs::write(out.join("page.rs"), code)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &name, files)?;
        } else if entry.path().extension().is_none_or(|extension| extension != "map") {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}

/// The bytes compressed into `target`, where that is worth it.
fn pack(bytes: &[u8], target: &Path) -> io::Result<String> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    let packed = encoder.finish()?;
    if packed.len() * 10 > bytes.len() * 9 {
        return Ok("None".to_owned());
    }
    fs::write(target, packed)?;
    Ok(format!("Some(include_bytes!({target:?}))"))
}
