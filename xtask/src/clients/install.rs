//! How clients come into their folders: from the registries of their languages, by pins that are
//! committed, once for each state of the pins.

use super::stage::Stage;
use crate::command::{cargo, command, output, run};
use anyhow::{Context, bail, ensure};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Notes in a folder which pins it was installed from.
const STAMP: &str = ".vesta-installed";

/// A file of Maven Central.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Artifact {
    /// `group:artifact:version`, or `group:artifact:version:jar:machine`.
    pub(crate) coordinates: &'static str,
    /// SHA-256 of the jar, in hexadecimal digits.
    pub(crate) sha256: &'static str,
}

/// Runs `install` unless it was done with these pins before.
fn once(
    folder: &Path,
    pins: &str,
    install: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stamp = folder.join(STAMP);
    if std::fs::read_to_string(&stamp).is_ok_and(|done| done == pins) {
        return Ok(());
    }
    install()?;
    std::fs::write(&stamp, pins).with_context(|| format!("writing {}", stamp.display()))
}

/// What PyPI has of `fixtures/clients/NAME/requirements.txt`, all of which is pinned there, in this
/// client's folder. `options` are pip's, such as another version of Python than the machine's.
pub(crate) fn packages(stage: &Stage<'_>, name: &str, options: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = stage.folder(stage.name)?;
    let packages = folder.join("packages");
    let pins = stage.sources(name).join("requirements.txt");
    once(&folder, &read(&pins)?, || {
        // What was there belongs to other pins.
        let _ = std::fs::remove_dir_all(&packages);
        let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"];
        let mut pip = command(&folder, "python3", &install);
        pip.args(options).arg("--target").arg(&packages);
        run(pip.arg("--requirement").arg(&pins))
    })?;
    Ok(packages)
}

/// The machine's Python, which finds those packages.
pub(crate) fn python(stage: &Stage<'_>) -> anyhow::Result<Command> {
    let packages = packages(stage, stage.name, &[])?;
    let mut python = stage.command("python3", &[])?;
    python.env("PYTHONPATH", &packages).env("PYTHONUNBUFFERED", "1");
    Ok(python)
}

/// A Node.js in a copy of `fixtures/clients/NAME`, with the packages of its lock file. No package's
/// scripts are run.
pub(crate) fn node(stage: &Stage<'_>) -> anyhow::Result<Command> {
    let (folder, sources) = (stage.folder(stage.name)?, stage.sources(stage.name));
    let lock = copy(&sources, &folder, &["package.json", "package-lock.json", "app.js"])?;
    once(&folder, &lock, || {
        let args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"];
        run(&mut command(&folder, "npm", &args))
    })?;
    Ok(command(&folder, "node", &["app.js"]))
}

/// The program built of `fixtures/clients/NAME`, whose modules are those of its `go.sum`.
pub(crate) fn go(stage: &Stage<'_>) -> anyhow::Result<Command> {
    go_package(stage, ".")
}

/// A package of those modules, built.
pub(crate) fn go_package(stage: &Stage<'_>, package: &str) -> anyhow::Result<Command> {
    let folder = stage.folder(stage.name)?;
    let program = folder.join("program");
    let mut build = command(&stage.sources(stage.name), "go", &["build", "-mod=readonly", "-o"]);
    run(build.arg(&program).arg(package).env("GOFLAGS", "-buildvcs=false"))?;
    Ok(command(&folder, &program.to_string_lossy(), &[]))
}

/// The program of `fixtures/clients/NAME`, whose crates are those of its lock file, built beside it: our
/// own workspace has no part in it.
pub(crate) fn rust(stage: &Stage<'_>) -> anyhow::Result<Command> {
    let folder = stage.folder(stage.name)?;
    let build = ["build", "--release", "--locked", "--quiet", "--target-dir"];
    let mut build = cargo(&stage.sources(stage.name), &build);
    run(build.arg(folder.join("target")))?;
    let program = folder.join("target/release/shop");
    Ok(command(&folder, &program.to_string_lossy(), &[]))
}

/// A jar of Maven Central, fetched by Maven and compared with its hash.
pub(crate) fn maven(stage: &Stage<'_>, artifact: Artifact) -> anyhow::Result<PathBuf> {
    let folder = stage.folder("maven")?;
    let name = match artifact.coordinates.split(':').collect::<Vec<_>>()[..] {
        [_, name, version] => format!("{name}-{version}.jar"),
        [_, name, version, "jar", machine] => format!("{name}-{version}-{machine}.jar"),
        _ => bail!("{} is not group:artifact:version[:jar:machine]", artifact.coordinates),
    };
    let jar = folder.join(name);
    if !jar.is_file() {
        let plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";
        let mut get = command(&folder, "mvn", &["--quiet", "--batch-mode", plugin]);
        get.arg(format!("-Dartifact={}", artifact.coordinates));
        run(get.arg("-DoutputDirectory=."))?;
    }
    let said = output("sha256sum", &[&jar.to_string_lossy()]).context("sha256sum failed")?;
    let found = said.split(' ').next().unwrap_or_default();
    ensure!(
        found == artifact.sha256,
        "{} has the hash {found}, not {}; remove it to fetch it again",
        jar.display(),
        artifact.sha256
    );
    Ok(jar)
}

/// Makes a file a program: not every archive says that it is one.
pub(crate) fn make_program(file: &Path) -> anyhow::Result<()> {
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(file, mode)
        .with_context(|| format!("making {} a program", file.display()))
}

/// Copies files and returns the texts of all of them but the last, which is the program.
fn copy(from: &Path, to: &Path, names: &[&str]) -> anyhow::Result<String> {
    let mut texts = String::new();
    for name in names {
        let text = read(&from.join(name))?;
        std::fs::write(to.join(name), &text).with_context(|| format!("writing {name}"))?;
        if Some(name) != names.last() {
            texts.push_str(&text);
        }
    }
    Ok(texts)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_done_again_when_its_pins_change_or_it_failed() {
        let dir = tempfile::tempdir().unwrap();
        let mut done = 0;
        for pins in ["a==1", "a==1", "a==2"] {
            once(dir.path(), pins, || {
                done += 1;
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(done, 2);
        once(dir.path(), "a==3", || bail!("no network")).unwrap_err();
        once(dir.path(), "a==3", || {
            done += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(done, 3);
    }
}
