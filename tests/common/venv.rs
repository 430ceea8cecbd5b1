//! One Python environment under `target/` for all tests that need packages of PyPI: made once, used again.
//! Knows nothing of what the packages are for.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python of an environment that has these packages, each given as for pip (`boto3==1.44.5`).
///
/// Tests in several processes share the environment, so it is changed only under a lock, and packages are only
/// added: ask for the same version everywhere. Needs python3 with its venv module, and PyPI when something is missing.
///
/// # Panics
/// When the environment cannot be made; the message says what is missing.
pub fn python_with(packages: &[&str]) -> PathBuf {
    let place = target_dir().join("test-venv");
    let python = place.join("env/bin/python");
    fs::create_dir_all(&place).unwrap_or_else(|error| panic!("cannot create {}: {error}", place.display()));
    // Given back by the kernel when the file is closed, also by a test that panics or is killed.
    let lock = File::create(place.join("lock")).expect("cannot create the lock file");
    lock.lock().expect("cannot lock the Python environment");

    let installed_path = place.join("installed");
    if !works(&python) {
        let _ = fs::remove_file(&installed_path);
        run(
            Command::new("python3").args(["-m", "venv", "--clear"]).arg(place.join("env")),
            "make a Python environment: python3 with its venv module is needed (Debian: apt-get install python3-venv)",
        );
    }
    let mut installed = fs::read_to_string(&installed_path).unwrap_or_default();
    let missing: Vec<&str> =
        packages.iter().copied().filter(|package| !installed.lines().any(|line| line == *package)).collect();
    if !missing.is_empty() {
        run(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(&missing),
            "install packages from PyPI: a network, or PIP_INDEX_URL or PIP_FIND_LINKS, is needed",
        );
        missing.iter().for_each(|package| installed.push_str(&format!("{package}\n")));
        fs::write(&installed_path, installed).expect("cannot note what is installed");
    }
    python
}

/// Cargo's target directory: integration tests get `<target>/tmp`.
fn target_dir() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("<target>/tmp has a parent")
}

/// An environment dies with the Python that it was made from.
fn works(python: &Path) -> bool {
    let import = Command::new(python).args(["-c", "import pip"]).output();
    import.is_ok_and(|output| output.status.success())
}

fn run(command: &mut Command, to: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot {to}\n{command:?}: {error}"));
    if !output.status.success() {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        panic!("cannot {to}\n{command:?}: {}\n{out}{err}", output.status);
    }
}
