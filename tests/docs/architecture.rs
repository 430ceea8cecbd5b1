//! docs/ARCHITECTURE.md names every module, every file and every thread, and none that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::{between, document, root};

const DOCUMENT: &str = "docs/ARCHITECTURE.md";

/// Of the library, with their paths from the root: tests left out.
fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = folder.join(entry.unwrap().file_name());
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if root().join(&path).is_dir() {
            if !["tests", "bin"].contains(&stem) {
                files(&path, found);
            }
        } else if path.extension().is_some_and(|end| end == "rs") && !["mod", "tests"].contains(&stem) {
            found.push(path.to_str().unwrap().to_owned());
        }
    }
}

/// The cells of a table's rows, behind its head and the line below that.
fn rows(text: &str, head: &str) -> Vec<Vec<String>> {
    let (_, table) = text.split_once(head).unwrap_or_else(|| panic!("{DOCUMENT} has no table {head}"));
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('|').skip(1).map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn every_file_is_in_the_row_of_its_folder() {
    let mut found = Vec::new();
    files(Path::new("src"), &mut found);
    assert!(found.len() > 100, "{found:?}");
    let named = rows(&document(DOCUMENT), "| folder | files |").into_iter().flat_map(|cells| {
        let folder = cells[0].trim_matches('`').to_owned();
        let stems = between_backticks(&cells[1]).filter(|word| !word.starts_with("--")).collect::<Vec<_>>();
        stems.into_iter().map(move |stem| format!("{folder}{stem}.rs"))
    });
    let mut times: BTreeMap<String, i32> = BTreeMap::new();
    named.for_each(|path| *times.entry(path).or_default() += 1);
    found.into_iter().for_each(|path| *times.entry(path).or_default() -= 1);
    let told = |sign: i32| times.iter().filter(move |(_, times)| times.signum() == sign).map(|(path, _)| path);
    let (missing, too_many): (Vec<_>, Vec<_>) = (told(-1).collect(), told(1).collect());
    assert!(
        missing.is_empty(),
        "{DOCUMENT}, section Files: give these a few words in the row of their folder: {missing:?}"
    );
    assert!(too_many.is_empty(), "{DOCUMENT}, section Files: not there, or named twice: {too_many:?}");
}

fn between_backticks(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

#[test]
fn every_module_is_among_the_layers() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared = library.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    let declared: Vec<_> = declared.map(|name| name.trim_end_matches(';')).collect();
    assert!(declared.len() > 10, "{declared:?}");
    let places: BTreeSet<_> =
        rows(&document(DOCUMENT), "| place | holds |").iter().flat_map(|cells| between_backticks(&cells[0])).collect();
    let is_there = |name: &&str| places.contains(&format!("src/{name}.rs")) || places.contains(&format!("src/{name}/"));
    let missing: Vec<_> = declared.into_iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "{DOCUMENT}, section Layers, has no place for {missing:?}");
}

#[test]
fn every_thread_is_in_its_table() {
    let mut paths = Vec::new();
    files(Path::new("src"), &mut paths);
    paths.extend(["src/run/mod.rs", "src/run/health/mod.rs", "src/ship/mod.rs", "src/spool/mod.rs"].map(str::to_owned));
    let mut started = BTreeSet::new();
    for path in paths {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let names = between(shipped, "name(\"", "\"").filter(|name| name.starts_with("pump-"));
        started.extend(names.map(str::to_owned));
    }
    let table = rows(&document(DOCUMENT), "| thread | file | does | waits in |");
    let named: BTreeSet<_> = table.iter().flat_map(|cells| between_backticks(&cells[0])).collect();
    assert!(started.len() > 5, "{started:?}");
    assert_eq!(started, named, "left: the names in src, right: {DOCUMENT}, section Threads");
}
