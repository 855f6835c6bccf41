//! Documents and code name each other truly: the links between documents, the sections of the rules of recovery that
//! comments refer to, and the tests, mutants and places in the code that these rules name.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The document whose sections comments refer to.
const RECOVERY: &str = "docs/RECOVERY.md";

/// How a reference to a section begins, after the name of the document.
const SECTION: &str = ", section ";

/// The places in which nobody looks for documents or code.
const SKIPPED: [&str; 3] = ["target", "data", "node_modules"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a folder whose names end so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
            found.extend(files(&path, ending));
        } else if path.is_file() && name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

fn texts(ending: &str) -> Vec<(PathBuf, String)> {
    let texts: Vec<_> = files(root(), ending).into_iter().map(|path| (path.clone(), read(&path))).collect();
    assert!(texts.len() > 10, "files ending in {ending} are found");
    texts
}

/// The headings of a document, outside of code.
fn headings(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter_map(move |line| {
        is_code ^= line.starts_with("```");
        let title = line.trim_start_matches('#');
        (!is_code && line.starts_with('#')).then(|| title.trim())
    })
}

/// The fragment by which a heading is linked.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn section_numbers() -> Vec<u32> {
    let text = read(&root().join(RECOVERY));
    headings(&text).filter_map(|heading| heading.split_once(". ")?.0.parse().ok()).collect()
}

/// The number with which a text begins.
fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// The words between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The items and paragraphs of a document that begin with one of these words, each on one line.
fn items(text: &str, beginnings: &[&str]) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        let begins = beginnings.iter().any(|beginning| line.starts_with(beginning));
        is_open = begins || is_open && !line.is_empty() && !line.starts_with("- ");
        match items.last_mut() {
            Some(item) if is_open && !begins => *item = format!("{item} {}", line.trim()),
            _ if begins => items.push(line.to_owned()),
            _ => {}
        }
    }
    items
}

#[test]
fn sections_are_numbered_without_a_gap() {
    let numbers = section_numbers();
    assert!(!numbers.is_empty());
    assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>());
}

#[test]
fn a_section_that_is_referred_to_is_there() {
    let sections = section_numbers();
    let name = Path::new(RECOVERY).file_name().expect("it has a name").to_string_lossy();
    let mut referred = BTreeSet::new();
    for (path, text) in texts(".rs") {
        let mentions = text.match_indices(&*name).map(|(at, _)| &text[at + name.len()..]);
        // Before a quote it is a path, no reference.
        for after in mentions.filter(|after| !after.starts_with('"')) {
            let number = after.strip_prefix(SECTION).and_then(leading_number);
            let is_there = number.is_some_and(|number| sections.contains(&number));
            let shown = after.lines().next().unwrap_or_default();
            assert!(is_there, "{}: {name}{shown} is no section", path.display());
            referred.extend(number);
        }
    }
    assert!(referred.len() > 5, "comments refer to sections: {referred:?}");
    let own = read(&root().join(RECOVERY));
    let mentions = own.match_indices("ection ").map(|(at, found)| &own[at + found.len()..]);
    for number in mentions.filter_map(leading_number) {
        assert!(sections.contains(&number), "{RECOVERY} speaks of its section {number}, which is not there");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for (path, text) in texts(".md") {
        let folder = path.parent().expect("a file is in a folder");
        for link in text.split("](").skip(1).filter_map(|after| after.split(')').next()) {
            let (target, fragment) = link.split_once('#').unwrap_or((link, ""));
            if target.contains("://") {
                continue;
            }
            let target = if target.is_empty() { path.clone() } else { folder.join(target) };
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            let is_there = || headings(&read(&target)).any(|heading| anchor(heading) == fragment);
            assert!(fragment.is_empty() || is_there(), "{}: {link} has no such heading", path.display());
        }
    }
}

#[test]
fn what_holds_a_rule_is_there() {
    let sources = texts(".rs");
    let is_test = |name: &str| sources.iter().any(|(_, text)| text.contains(&format!("fn {name}(")));
    let mutants = read(&root().join("simulation/src/mutant.rs"));
    let is_mutant = |name: &str| mutants.contains(&format!(" {name}: Site::"));
    let text = read(&root().join(RECOVERY));
    for item in items(&text, &["- Held by"]) {
        assert!(quoted(&item).next().is_some(), "nothing is named: {item}");
        for name in quoted(&item) {
            assert!(is_test(name) || is_mutant(name), "neither a test nor a mutant: {name}");
        }
    }
    for rule in text.split("\n\n").filter(|rule| rule.contains("- Why:")) {
        assert!(rule.contains("- Held by") || rule.contains("- No test"), "nothing holds this rule: {rule}");
    }
}

#[test]
fn the_code_of_a_rule_is_where_the_document_says() {
    let text = read(&root().join(RECOVERY));
    let items = items(&text, &["- Code:", "Code:"]);
    assert!(!items.is_empty());
    for item in items {
        let mut code = String::new();
        for word in quoted(&item) {
            if word.contains('/') {
                code = read(&root().join(word));
                continue;
            }
            let name = word.rsplit("::").next().unwrap_or(word);
            let is_word = |found: &str| found == name;
            let mut words = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            assert!(words.any(is_word), "{word} is not there: {item}");
        }
    }
}

#[test]
fn as_many_mistakes_are_built_in_as_the_guarantees_say() {
    let mutants = read(&root().join("simulation/src/mutant.rs"));
    let listed = mutants.lines().filter(|line| line.starts_with("    ") && line.contains(": Site::")).count();
    let told = format!("{listed} mistakes built in on purpose");
    assert!(read(&root().join("docs/GUARANTEES.md")).contains(&told), "it should say: {told}");
}

#[test]
fn the_image_is_built_from_all_members() {
    let manifest = read(&root().join("Cargo.toml"));
    let members =
        manifest.lines().find(|line| line.starts_with("members = ")).expect("a workspace has members");
    let ignored = read(&root().join(".dockerignore"));
    for member in members.split('"').skip(1).step_by(2) {
        let folder = member.split('/').next().unwrap_or(member);
        let is_taken = ignored.lines().any(|line| line.strip_prefix('!') == Some(folder));
        assert!(is_taken, ".dockerignore leaves out {folder}, and cargo needs all members of the workspace");
    }
}
